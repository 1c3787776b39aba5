/**
 * A process that restores, and is killed in the middle: `restore-process.ts OPTIONS NOTES MOMENT`.
 * OPTIONS is JSON, NOTES a file that has what it holds, as a runner's state would; MOMENT says when
 * it kills itself: `log:` and a pattern, `release:` and a kind, `file:` and a pattern of a path in
 * the store, or `never`, for somebody else to do it.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import type { BackupRestoreOptions } from '../../src/restore/options.ts'
import { restore, type Task } from '../../src/restore/restore.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Held, Work } from '../../src/work.ts'
import { quietWork } from '../support/start-servers.ts'

const [json = '', notes = '', moment = ''] = process.argv.slice(2)
const { folder, ...options } = JSON.parse(json) as Omit<
  BackupRestoreOptions,
  'sources' | 'task'
> & {
  folder: string
  task: Task
}
const [kind = '', pattern = ''] = [
  moment.slice(0, moment.indexOf(':')),
  moment.slice(moment.indexOf(':') + 1),
]
const die = (): void => void process.kill(process.pid, 'SIGKILL')

let held: Held[] = []
const note = (): void => writeFileSync(notes, JSON.stringify(held))
const info = (text: string): void => {
  if (kind === 'log' && new RegExp(pattern).test(text)) die()
}
const work: Work = {
  ...quietWork(),
  log: { ...quietWork().log, info },
  hold(thing) {
    held = [...held, thing]
    note()
  },
  release(thing) {
    if (kind === 'release' && thing.kind === pattern) die()
    held = held.filter((each) => each !== thing)
    note()
  },
}
if (kind === 'file')
  setInterval(() => {
    if (
      readdirSync(folder, { recursive: true }).some((path) =>
        new RegExp(pattern).test(String(path)),
      )
    )
      die()
  }, 1)
await restore({ ...options, sources: [openStorage(`file://${folder}`)] }, work)
