/** The median, the smallest and the largest of some numbers. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** Returns undefined without numbers. For an even count, the median is the mean of the middle two. */
export function spread(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) return undefined
  const half = sorted.length / 2
  const [lower = min, upper = max] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]]
  return { median: (lower + upper) / 2, min, max }
}
