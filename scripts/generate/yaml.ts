/**
 * Returns a `description:` as lines of YAML: on one line if it fits into 100 columns and needs no
 * quotes, otherwise folded.
 */
export function descriptionLines(description: string, indent: string): string[] {
  const line = `${indent}description: ${description}`
  const isPlain = /^[A-Za-z(][^#]*$/.test(description) && !description.includes(': ')
  if (line.length <= 100 && isPlain) return [line]
  const width = 98 - indent.length
  const lines = ['']
  for (const word of description.split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last === '') lines.splice(-1, 1, word)
    else if (last.length + 1 + word.length <= width) lines.splice(-1, 1, `${last} ${word}`)
    else lines.push(word)
  }
  return [`${indent}description: >-`, ...lines.map((each) => `${indent}  ${each}`)]
}

/** Returns a text as a YAML scalar, in quotes if YAML would read it as something else. */
export function scalar(text: string): string {
  return /^(true|false|null|~|\d[\d.]*)$/.test(text) ? `'${text}'` : text
}
