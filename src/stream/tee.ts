import { PassThrough, Writable } from 'node:stream'

/**
 * One stream into several, at the pace of the slowest. When the source fails, or one of the readers, all of them fail: nobody
 * takes a part for the whole.
 */
export function tee(count: number): { sink: Writable; branches: PassThrough[] } {
  const branches = Array.from({ length: count }, () => new PassThrough({ highWaterMark: 1024 * 1024 }))
  const sink = new Writable({
    highWaterMark: 1024 * 1024,
    write(chunk: Buffer, _encoding, done) {
      const waiting = branches.filter((branch) => !branch.write(chunk))
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
    // a reader that lets go without a word would leave the others waiting for it
    branch.on('close', () => {
      if (!branch.readableEnded) sink.destroy(new Error('a destination stopped reading'))
    })
  }
  return { sink, branches }
}
