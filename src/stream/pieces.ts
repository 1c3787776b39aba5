/** Stages of a stream (encrypt, compress, digest), child processes, and reused pieces of memory. */

/*
 * V8 scans its whole heap each time about 32 MB of buffers were allocated, however small the heap
 * is. With a few new buffers for each piece, that took a third of the time of a backup. So pieces
 * are reused. The producer of a stream takes each piece from its pool. The last reader of a piece,
 * which has copied or written it, gives it back. A piece that is not given back is garbage-collected.
 * A piece that was given back is overwritten, so only the last reader may do that.
 */

/**
 * The size of a piece in bytes: four sealed chunks of age (64 KiB and a tag). Passing on a piece of
 * that size costs nothing compared with what is done to its bytes.
 */
export const pieceSize = 4 * (64 * 1024 + 16)

/** The property of a piece's memory that holds its loan; undefined once it was given back. */
const loan = Symbol('loan')
type Memory = ArrayBufferLike & { [loan]?: Loan | undefined }

interface Loan {
  /** The number of readers that have not given the piece back. */
  readers: number
  back: () => void
}

/** A pool of buffers of one size, as many as are in use at once. */
export class Pool {
  readonly #size: number
  readonly #idle: Buffer[] = []

  constructor(size = pieceSize) {
    this.#size = size
  }

  /** Returns a buffer with undefined content. It has one reader, of all or of a part of it. */
  take(): Buffer {
    const piece = this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#size)
    const memory: Memory = piece.buffer
    memory[loan] = { readers: 1, back: () => void this.#idle.push(piece) }
    return piece
  }
}

/** Sets the number of readers of a piece; each of them gives it back. */
export function shareAmong(readers: number, piece: Buffer): void {
  const current = (piece.buffer as Memory)[loan]
  if (current) current.readers = readers
}

/**
 * Returns a piece, or the part of it that was read, to its pool: one reader is done with it.
 * Returns false, and does nothing, for a buffer of no pool. Throws if the piece was given back
 * already: a second give-back would, once the piece is in use again, take it from its new reader.
 */
export function giveBack(piece: Buffer): boolean {
  const memory: Memory = piece.buffer
  const current = memory[loan]
  if (!current) {
    if (loan in memory) throw new Error('a piece was given back more often than it was lent')
    return false
  }
  if (--current.readers > 0) return true
  memory[loan] = undefined
  current.back()
  return true
}

/**
 * Frees a buffer's memory now, so that the system's allocator can return the same warm memory for
 * the next one. Only for a buffer without other references. A buffer that shares its memory with
 * others is left to the garbage collector.
 */
export function free(buffer: Buffer): void {
  const memory = buffer.buffer as ArrayBuffer
  if (buffer.byteLength === memory.byteLength && buffer.byteLength > 0) memory.transfer(0)
}
