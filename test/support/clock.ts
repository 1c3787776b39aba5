import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for the next second: what is named by the second is then told apart. */
export function nextSecond(): Promise<void> {
  return sleep(1001 - (Date.now() % 1000))
}

/** Waits until a previous database is older than a second. Its name ends in its time. */
export async function untilOlderThanASecond(previous: string): Promise<void> {
  const [, date, time] = /_before_(\d{8})T(\d{6})$/.exec(previous) ?? []
  if (date === undefined || time === undefined) throw new Error(`${previous} has no time`)
  const replaced = Date.parse(
    `${date.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`,
  )
  // the second that the name leaves out, the second of the age, and a little
  await sleep(Math.max(0, replaced + 2010 - Date.now()))
}

/**
 * Waits for an event that can only be looked for. Throws after a minute, which no machine needs,
 * with what did not come.
 */
export async function until(what: string, come: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await come())) {
    if (Date.now() > end) throw new Error(`It did not come: ${what}`)
    await sleep(20)
  }
}
