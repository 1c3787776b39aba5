import { Transform } from 'node:stream'
import type { Digesting } from './digest.ts'
import { free, giveBack, pieceSize, Pool } from './pieces.ts'

/** Puts bytes together into pieces, and hands each one on when it is full. */
export class Gatherer {
  readonly #pool = new Pool()
  readonly #handOn: (piece: Buffer) => void
  #piece: Buffer | undefined
  #length = 0

  constructor(handOn: (piece: Buffer) => void) {
    this.#handOn = handOn
  }

  /**
   * Room for so many bytes (at most a piece) side by side, to be filled before anything else is
   * asked of the gatherer.
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

  /** Hands on what there is. */
  end(): void {
    const piece = this.#piece
    if (piece === undefined) return
    const whole = this.#length === pieceSize ? piece : piece.subarray(0, this.#length)
    this.#piece = undefined
    this.#length = 0
    this.#handOn(whole)
  }
}

/** How a stage treats what flows through it. */
export interface Passing {
  /** Told of every byte that comes in. */
  before?: Digesting
  /** Told of every byte that goes out. */
  after?: Digesting
  /** What comes in is nobody else's: its memory is freed as soon as it was read. */
  owned?: boolean
}

/**
 * The settings of a stage that gives pieces: each is one object, so that no reader makes a copy to
 * put several together.
 */
export const givesPieces = {
  writableHighWaterMark: pieceSize,
  readableObjectMode: true,
  readableHighWaterMark: 4,
}

/** A stage that changes no byte, and puts small pieces together into large ones. */
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

/** Lets go of what a stage has read. */
export function release(data: Buffer, owned: boolean): void {
  if (!giveBack(data) && owned) free(data)
}
