/**
 * The large pieces that a stream is cut into, and how their memory is used again.
 *
 * V8 looks through its whole heap each time that some 32 MB of buffers were made, however little
 * else there is: with a few fresh buffers for each piece that flows by, that was a third of all the
 * time that a backup took. So pieces go round. Who makes a stream takes each piece from its pool;
 * who has read it for the last time (copied it, written it) gives it back. A piece that nobody
 * gives back is ordinary garbage; but what was given back will be overwritten, so only the last
 * reader may do it.
 */

/**
 * Four sealed chunks of age (64 KiB and a tag): large enough that handing it on costs nothing
 * beside what is in it.
 */
export const pieceSize = 4 * (64 * 1024 + 16)

/** On the memory of a piece that is out: how many have yet to read it. */
const loan = Symbol('loan')
type Memory = ArrayBufferLike & { [loan]?: { readers: number; back: () => void } | undefined }

/** Buffers of one size that go round; as many as are out at once. */
export class Pool {
  readonly #size: number
  readonly #idle: Buffer[] = []

  constructor(size = pieceSize) {
    this.#size = size
  }

  /** A buffer with anything in it, for one reader: of the whole, or of a part of it. */
  take(): Buffer {
    const piece = this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#size)
    const memory: Memory = piece.buffer
    memory[loan] = { readers: 1, back: () => void this.#idle.push(piece) }
    return piece
  }
}

/** Tells that so many readers will give a piece back, each for itself. */
export function shareAmong(readers: number, piece: Buffer): void {
  const out = (piece.buffer as Memory)[loan]
  if (out) out.readers = readers
}

/**
 * Says that a reader is done with a piece. For what no pool has lent it does nothing, and says so
 * by false.
 */
export function giveBack(piece: Buffer): boolean {
  const memory: Memory = piece.buffer
  const out = memory[loan]
  if (!out) return false
  if (--out.readers > 0) return true
  memory[loan] = undefined
  out.back()
  return true
}

/**
 * Gives a buffer's memory back to the system's allocator now, which hands the same warm memory out
 * for the next one. Only for a buffer that nobody else knows of. One that shares its memory with
 * others is left to the garbage collector.
 */
export function free(buffer: Buffer): void {
  const memory = buffer.buffer as ArrayBuffer
  if (buffer.byteLength === memory.byteLength && buffer.byteLength > 0) memory.transfer(0)
}
