import type { Work } from '../work.ts'

/**
 * Calls `body` for each item, at most `width` at a time, and returns the results in the items'
 * order. Items start in order, except those that `mayStart` holds back while others run. When
 * nothing runs, `mayStart` must accept one of the rest.
 *
 * After the first failure no other item starts, and the signal of the work that `body` was given
 * stops those that run. That failure is thrown when all have ended.
 */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  width: number,
  body: (item: T, work: Work) => Promise<R>,
  work: Work,
  mayStart: (item: T, running: readonly T[]) => boolean = () => true,
): Promise<R[]> {
  const stop = new AbortController()
  const own: Work = { ...work, signal: AbortSignal.any([work.signal, stop.signal]) }
  const results: R[] = []
  const failures: unknown[] = []
  const waiting = items.map((item, index) => ({ item, index }))
  const running = new Map<Promise<void>, T>()
  const startItem = ({ item, index }: { item: T; index: number }): void => {
    const done = (result: R): void => void (results[index] = result)
    const failed = (error: unknown): void => {
      failures.push(error)
      stop.abort(new Error('stopped because another failed'))
    }
    const ended: Promise<void> = Promise.resolve(item)
      .then((item) => body(item, own))
      .then(done, failed)
      .finally(() => running.delete(ended))
    running.set(ended, item)
  }
  while (waiting.length + running.size > 0) {
    const next =
      running.size < width && failures.length === 0
        ? waiting.findIndex(({ item }) => mayStart(item, [...running.values()]))
        : -1
    const [found] = next < 0 ? [] : waiting.splice(next, 1)
    if (found) startItem(found)
    else if (running.size > 0) await Promise.race(running.keys())
    else if (failures.length > 0) break
    else throw new Error(`${waiting.length} items are left, and none of them may start`)
  }
  work.signal.throwIfAborted()
  if (failures.length) throw failures[0]
  return results
}
