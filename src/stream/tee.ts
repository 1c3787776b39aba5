import { PassThrough, Writable } from 'node:stream'
import { givesPieces } from './gather.ts'
import { shareAmong } from './pieces.ts'

/**
 * Copies one stream of pieces into several, at the pace of the slowest reader. If the source or a
 * reader fails, all fail: no reader mistakes a part for the complete stream.
 */
export function tee(count: number): { sink: Writable; branches: PassThrough[] } {
  const branches = Array.from(
    { length: count },
    () => new PassThrough({ ...givesPieces, writableObjectMode: true, writableHighWaterMark: 1 }),
  )
  const sink = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(piece: Buffer, _encoding, done) {
      shareAmong(count, piece)
      const waiting = branches.filter((branch) => !branch.write(piece))
      let left = waiting.length
      if (left === 0) return done()
      for (const branch of waiting) branch.once('drain', () => --left === 0 && done())
    },
    final(done) {
      for (const branch of branches) branch.end()
      done()
    },
    destroy(error, done) {
      if (error) for (const branch of branches) branch.destroy(error)
      done(error)
    },
  })
  for (const branch of branches) {
    branch.on('error', (error) => sink.destroy(error))
    // A reader that closes early without an error would block the others.
    branch.on('close', () => {
      if (!branch.readableEnded) sink.destroy(new Error('a destination stopped reading'))
    })
  }
  return { sink, branches }
}
