import { Transform } from 'node:stream'
import type { Digesting } from './digest.ts'
import { free, giveBack, pieceSize, Pool } from './pieces.ts'

/** Collects bytes into pieces, and passes each piece on when it is full. */
export class Gatherer {
  readonly #pool = new Pool()
  readonly #passOn: (piece: Buffer) => void
  #piece: Buffer | undefined
  #length = 0

  constructor(passOn: (piece: Buffer) => void) {
    this.#passOn = passOn
  }

  /**
   * Returns contiguous room for a number of bytes, at most a piece. Fill it before the next call.
   */
  room(bytes: number): Buffer {
    if (this.#length + bytes > pieceSize) this.end()
    this.#piece ??= this.#pool.take()
    const from = this.#length
    this.#length += bytes
    return this.#piece.subarray(from, this.#length)
  }

  add(data: Buffer): void {
    for (let at = 0; at < data.length;) {
      if (this.#length === pieceSize) this.end()
      at += data.copy(this.room(Math.min(data.length - at, pieceSize - this.#length)), 0, at)
    }
  }

  /** Passes on what was collected. */
  end(): void {
    const piece = this.#piece
    if (piece === undefined) return
    const filled = this.#length === pieceSize ? piece : piece.subarray(0, this.#length)
    this.#piece = undefined
    this.#length = 0
    this.#passOn(filled)
  }
}

/** How a stage treats what flows through it. */
export interface Passing {
  /** Digests every byte that comes in. */
  before?: Digesting
  /** Digests every byte that goes out. */
  after?: Digesting
  /** Nothing else refers to what comes in: its memory is freed once it was read. */
  owned?: boolean
}

/**
 * The stream options of a stage that produces pieces: each is one object, so that no reader copies
 * several into one.
 */
export const givesPieces = {
  writableHighWaterMark: pieceSize,
  readableObjectMode: true,
  readableHighWaterMark: 4,
}

/** Returns a stage that passes bytes on unchanged, in large pieces. */
export function gathering({ before, after, owned = false }: Passing): Transform {
  const out = new Gatherer((piece) => {
    after?.add(piece)
    stage.push(piece)
  })
  const stage = new Transform({
    ...givesPieces,
    transform(data: Buffer, _encoding, done) {
      before?.add(data)
      out.add(data)
      release(data, owned)
      done()
    },
    flush(done) {
      out.end()
      done()
    },
  })
  return stage
}

/** Returns what a stage has read to its pool, or frees it if the stage owns it. */
export function release(data: Buffer, owned: boolean): void {
  if (!giveBack(data) && owned) free(data)
}
