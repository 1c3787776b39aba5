import type { Log } from '../work.ts'

/** Milliseconds between two lines of progress in a log. */
const logInterval = 5000
/** Milliseconds between two updates of a line on a terminal. */
const terminalInterval = 1000

/** The progress of a long operation: `done` of `total` bytes. */
export interface Counter {
  /** For example `read`. */
  name: string
  done: number
  total: number
}

/**
 * Reports progress every few seconds until the returned function is called; shorter work reports
 * nothing. `look`, if given, updates the counters before each report. The time left follows from the
 * speed of the first counter over the last half minute: a large table is faster than many small
 * ones.
 */
export function tellProgress(
  log: Pick<Log, 'info' | 'progress'>,
  counters: readonly Counter[],
  look?: () => Promise<void>,
): () => void {
  const seen: { at: number; done: number }[] = [{ at: Date.now(), done: 0 }]
  const report = (): void => {
    const [main] = counters
    if (!main) return
    seen.push({ at: Date.now(), done: main.done })
    while (seen.length > 2 && Date.now() - (seen[1]?.at ?? 0) >= 30_000) seen.shift()
    const line = progressLine(counters, speedOf(seen))
    if (log.progress) log.progress(line, main.total > 0 ? Math.min(1, main.done / main.total) : 0)
    else log.info(line)
  }
  let busy = false
  let stopped = false
  const lookAndReport = async (): Promise<void> => {
    if (busy) return // the server has not answered the last question
    busy = true
    await look?.().catch(() => {})
    busy = false
    if (!stopped) report()
  }
  const timer = setInterval(
    () => void lookAndReport(),
    log.progress ? terminalInterval : logInterval,
  )
  timer.unref()
  return () => {
    stopped = true
    clearInterval(timer)
  }
}

/** Returns bytes per second. */
function speedOf(seen: readonly { at: number; done: number }[]): number {
  const [first, last] = [seen[0], seen.at(-1)]
  if (!first || !last || last.at <= first.at) return 0
  return (1000 * (last.done - first.done)) / (last.at - first.at)
}

/**
 * Returns for example `1.2 of 3.4 GB read (35 %), 85 MB/s, about 26 s left; 2.0 of 3.4 GB measured (58 %)`.
 */
export function progressLine(counters: readonly Counter[], speed: number): string {
  return counters
    .map(({ name, done, total }, i) => {
      const reached = Math.min(done, total)
      const share = total > 0 ? ` (${Math.floor((100 * reached) / total)} %)` : ''
      const text = `${sized(reached, total)} of ${sized(total, total)} ${unit(total)} ${name}${share}`
      if (i > 0) return text
      const left = speed > 0 ? `, about ${timeLeft((total - reached) / speed)} left` : ''
      return `${text}, ${Math.round(speed / 1e6)} MB/s${left}`
    })
    .join('; ')
}

function unit(total: number): string {
  return total >= 1e9 ? 'GB' : 'MB'
}

function sized(bytes: number, total: number): string {
  return total >= 1e9 ? (bytes / 1e9).toFixed(1) : String(Math.round(bytes / 1e6))
}

function timeLeft(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
