import type { Work } from '../work.ts'

/**
 * Does something for each of several things, at most `width` at a time, begun in their order, but
 * for those that `mayJoin` holds back while others run (when nothing runs any more, it must let one
 * of those that are left begin). At the first failure nothing more is begun, and what runs is
 * stopped by the signal of the work that it was given; that failure is thrown when all have ended.
 */
export async function mapConcurrent<T, R>(
  things: readonly T[],
  width: number,
  body: (thing: T, work: Work) => Promise<R>,
  work: Work,
  mayJoin: (thing: T, running: readonly T[]) => boolean = () => true,
): Promise<R[]> {
  const stop = new AbortController()
  const own: Work = { ...work, signal: AbortSignal.any([work.signal, stop.signal]) }
  const results: R[] = []
  const failures: unknown[] = []
  const waiting = things.map((thing, place) => ({ thing, place }))
  const running = new Map<Promise<void>, T>()
  const begin = ({ thing, place }: { thing: T; place: number }): void => {
    const done = (result: R): void => void (results[place] = result)
    const failed = (error: unknown): void => {
      failures.push(error)
      stop.abort(new Error('stopped since another failed'))
    }
    const ended: Promise<void> = Promise.resolve(thing)
      .then((given) => body(given, own))
      .then(done, failed)
      .finally(() => running.delete(ended))
    running.set(ended, thing)
  }
  while (waiting.length + running.size > 0) {
    const next =
      running.size < width && failures.length === 0
        ? waiting.findIndex(({ thing }) => mayJoin(thing, [...running.values()]))
        : -1
    const [found] = next < 0 ? [] : waiting.splice(next, 1)
    if (found) begin(found)
    else if (running.size > 0) await Promise.race(running.keys())
    else if (failures.length > 0) break
    else throw new Error(`${waiting.length} things are left, and none of them may begin`)
  }
  work.signal.throwIfAborted()
  if (failures.length) throw failures[0]
  return results
}
