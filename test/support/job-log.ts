/**
 * What a runner makes of the lines that a step writes: workflow commands carried out, secrets
 * masked from where they are named.
 */
export interface Annotation {
  level: 'error' | 'warning' | 'notice'
  message: string
  /** title, file, line and so on. */
  properties: Record<string, string>
}

export class JobLog {
  readonly annotations: Annotation[] = []
  readonly #seen: string[] = []
  readonly #written: string[] = []
  readonly #masks = new Set<string>()
  readonly #onLine: (line: string) => void
  /** Set while commands are stopped: the word that starts them again. */
  #resumeBy: string | undefined

  constructor(onLine: (line: string) => void = () => {}) {
    this.#onLine = onLine
  }

  add(line: string): void {
    this.#written.push(line)
    // leading white space as .NET has it, with U+0085
    const command = /^[\s\u0085]*::([\w-]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/.exec(line)
    const [, name = '', properties = '', data = ''] = command ?? []
    if (this.#resumeBy !== undefined) {
      if (name === this.#resumeBy) this.#resumeBy = undefined
      else this.#show(line)
      return
    }
    if (command === null) this.#show(line)
    else this.#carryOut(name, properties, unescapeData(data))
  }

  /** What a person sees. */
  text(): string {
    return this.#seen.map((line) => `${line}\n`).join('')
  }

  /** What the step wrote. */
  raw(): string {
    return this.#written.map((line) => `${line}\n`).join('')
  }

  #carryOut(name: string, properties: string, data: string): void {
    switch (name) {
      case 'add-mask':
        // the runner masks each line of a secret as well as the whole
        for (const secret of [data, ...data.split(/\r?\n/)])
          if (secret.trim() !== '') this.#masks.add(secret)
        return
      case 'error':
      case 'warning':
      case 'notice':
        this.annotations.push({
          level: name,
          message: this.#mask(data),
          properties: this.#readProperties(properties),
        })
        this.#show(`${name.slice(0, 1).toUpperCase()}${name.slice(1)}: ${data}`)
        return
      case 'stop-commands':
        this.#resumeBy = data
        return
      case 'group':
        this.#show(`▸ ${data}`)
        return
      case 'debug':
        this.#show(`debug: ${data}`)
        return
      case 'endgroup':
      case 'echo':
        return
      default:
        this.#show(`::${name}::${data}`)
    }
  }

  #show(line: string): void {
    const masked = this.#mask(line)
    this.#seen.push(masked)
    this.#onLine(masked)
  }

  #mask(text: string): string {
    return [...this.#masks]
      .sort((a, b) => b.length - a.length)
      .reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
  }

  #readProperties(text: string): Record<string, string> {
    return Object.fromEntries(
      text
        .split(',')
        .filter((part) => part.includes('='))
        .map((part) => {
          const at = part.indexOf('=')
          return [
            part.slice(0, at).trim(),
            this.#mask(
              unescapeData(
                part
                  .slice(at + 1)
                  .replaceAll('%3A', ':')
                  .replaceAll('%2C', ','),
              ),
            ),
          ]
        }),
    )
  }
}

function unescapeData(text: string): string {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%')
}
