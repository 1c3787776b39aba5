import { type Depth, type Fingerprint, measureCopy } from '../postgres/fingerprint/fingerprint.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'
import type { Work } from '../work.ts'
import { jobsOf } from './options.ts'
import type { Scratch } from './scratch.ts'

/** Measures a restored copy, by default to the depth to which its source was measured. */
export async function measure(
  scratch: Pick<Scratch, 'connection' | 'programs'>,
  { source, fingerprint }: FoundBackup['manifest'],
  work: Work,
  jobs = jobsOf({}),
  depth: Depth = fingerprint.kind,
): Promise<Fingerprint> {
  const measured: Counter = { name: 'measured', done: 0, total: 0 }
  const onRead = (bytes: number, total: number): void => {
    measured.done += bytes
    measured.total = total
  }
  const options = { encoding: source.locale.encoding, readers: jobs, depth, onRead }
  return work.log.group(`Measuring the copy (${depth})`, async () => {
    const done = tellProgress(work.log, [measured])
    return measureCopy(scratch.programs.server, scratch.connection, options, work).finally(done)
  })
}
