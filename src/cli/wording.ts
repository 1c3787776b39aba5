/**
 * The actions' code speaks of inputs as a workflow has them (`confirm: shop`). Here the same
 * sentences speak of flags. Only words change: a value is what it was.
 */
export function inFlags(text: string, names: readonly string[]): string {
  const name = `(${names.toSorted((a, b) => b.length - a.length).join('|')})`
  return text
    .replace(new RegExp(`\\bThe input ${name}\\b`, 'g'), '--$1')
    .replace(new RegExp(`(?<![\\w-])${name}: \\$\\{\\{ [\\w.]+ \\}\\}`, 'g'), '--$1-file FILE')
    .replace(new RegExp(`(?<![\\w-])${name}: true\\b`, 'g'), '--$1')
    .replace(new RegExp(`(?<![\\w-])${name}: false\\b`, 'g'), '--$1=false')
    .replace(new RegExp(`(?<![\\w-])${name}: (?=\\S)`, 'g'), '--$1 ')
    .replaceAll('The job summary', 'The report above')
    .replaceAll('the job summary', 'the report above')
    .replaceAll('with debug logging on', 'with --debug')
}

/**
 * A report: as above where it is set as code, and its blocks of inputs become flags that can be
 * pasted; no charts.
 */
export function reportInFlags(markdown: string, names: readonly string[]): string {
  const name = `(?:${names.toSorted((a, b) => b.length - a.length).join('|')})`
  return (
    markdown
      // only GitHub draws them; the figures stand beside them
      .replace(/```mermaid\n.*?\n```\n*/gs, '')
      .replace(/```yaml\n(.*?)\n```/gs, (block: string, body: string) => {
        const lines = body.split('\n').map((line) => new RegExp(`^(${name}): (.*)$`).exec(line))
        if (!lines.every((line) => line !== null)) return block
        return `\`\`\`sh\n${lines.map(([, flag = '', value = '']) => (value === 'true' ? `--${flag}` : `--${flag} ${shellValue(value)}`)).join(' ')}\n\`\`\``
      })
      .replace(/with `dry-run: false` and `confirm: /g, 'without `--dry-run`, and with `confirm: ')
      .replace(new RegExp(`\`(${name}): true\``, 'g'), '`--$1`')
      .replace(new RegExp(`\`(${name}): ([^\`]+)\``, 'g'), '`--$1 $2`')
      .replace(new RegExp(`\`(${name})\``, 'g'), '`--$1`')
  )
}

function shellValue(yaml: string): string {
  const value = yaml.startsWith("'") ? yaml.slice(1, -1).replaceAll("''", "'") : yaml
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`
}
