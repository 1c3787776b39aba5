import type { Work } from '../work.ts'

/**
 * Does something for each of several things, at most `width` at a time, begun in their order. At the first failure nothing more is
 * begun, and what runs is stopped by the signal of the work that it was given; that failure is thrown when all have ended.
 */
export async function sideBySide<T, R>(things: readonly T[], width: number, body: (thing: T, work: Work) => Promise<R>, work: Work): Promise<R[]> {
  const stop = new AbortController()
  const own: Work = { ...work, signal: AbortSignal.any([work.signal, stop.signal]) }
  const results: R[] = []
  const failures: unknown[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < things.length && failures.length === 0) {
      const i = next++
      try {
        results[i] = await body(things[i] as T, own)
      } catch (error) {
        failures.push(error)
        stop.abort(new Error('stopped since another failed'))
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, things.length) }, lane))
  work.signal.throwIfAborted()
  if (failures.length) throw failures[0]
  return results
}
