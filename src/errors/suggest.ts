/**
 * Returns how many letters must be added, removed, changed or swapped with their neighbour to turn
 * one word into the other (Damerau-Levenshtein, each letter edited once).
 */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      const edits = [
        (rows[i - 1]?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (rows[i - 1]?.[j - 1] ?? 0) + change,
      ]
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        edits.push((rows[i - 2]?.[j - 2] ?? 0) + 1)
      row.push(Math.min(...edits))
    }
    rows.push(row)
  }
  return rows[a.length]?.[b.length] ?? 0
}

/**
 * Returns the name that a misspelt word most likely stands for; undefined if none is near. A third
 * of a name's letters may differ, and always two.
 */
export function suggestName(word: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name) }))
    .sort((a, b) => a.distance - b.distance)
  if (nearest === undefined) return undefined
  const limit = Math.max(2, Math.floor(nearest.name.length / 3))
  return nearest.distance <= limit ? nearest.name : undefined
}
