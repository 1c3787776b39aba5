import type { Log } from '../work.ts'

/** Between two lines of progress, milliseconds. */
const pace = 5000
/** The same where a line is drawn over. */
const livePace = 1000

/** How far a long piece of work has come: `done` of `total` bytes. */
export interface Counter {
  /** For example `read`. */
  name: string
  done: number
  total: number
}

/**
 * Says every few seconds how far some work has come, until the function it gives is called: nothing
 * at all for work that takes less. The first counter's speed tells the time left; it is measured
 * over the last half minute, since a large table goes faster than many small ones.
 */
export function tellProgress(
  log: Pick<Log, 'info' | 'progress'>,
  counters: readonly Counter[],
  look?: () => Promise<void>,
): () => void {
  const seen: { at: number; done: number }[] = [{ at: Date.now(), done: 0 }]
  const tell = (): void => {
    const [main] = counters
    if (!main) return
    seen.push({ at: Date.now(), done: main.done })
    while (seen.length > 2 && Date.now() - (seen[1]?.at ?? 0) >= 30_000) seen.shift()
    const line = progressLine(counters, speedOf(seen))
    if (log.progress) log.progress(line, main.total > 0 ? Math.min(1, main.done / main.total) : 0)
    else log.info(line)
  }
  let busy = false
  let over = false
  const lookAndTell = async (): Promise<void> => {
    if (busy) return // a server that does not answer is asked once
    busy = true
    await look?.().catch(() => {})
    busy = false
    if (!over) tell()
  }
  const timer = setInterval(() => void lookAndTell(), log.progress ? livePace : pace)
  timer.unref()
  return () => {
    over = true
    clearInterval(timer)
  }
}

/** Bytes a second. */
function speedOf(seen: readonly { at: number; done: number }[]): number {
  const [first, last] = [seen[0], seen.at(-1)]
  if (!first || !last || last.at <= first.at) return 0
  return (1000 * (last.done - first.done)) / (last.at - first.at)
}

/**
 * For example `1.2 of 3.4 GB read (35 %), 85 MB/s, about 26 s left; 2.0 of 3.4 GB measured (58 %)`.
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
