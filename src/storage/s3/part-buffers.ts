/** One upload's share of the buffers. */
export interface Claim {
  /** The number of buffers that it holds. */
  held: number
}

/**
 * Part buffers, reused while any storage is open.
 *
 * All uploads together stay within `budget` bytes, except that each may always hold one buffer.
 * Without that, uploads that wait for each other (many archives read a few at a time, each stored
 * in several destinations) could deadlock.
 */
export class PartBuffers {
  readonly #budget: number
  readonly #waiting: { claim: Claim; size: number; grant: (buffer: Buffer) => void }[] = []
  #idle: Buffer[] = []
  #taken = 0
  /** The maximum number of bytes that were in use at once. */
  peak = 0

  constructor(budget: number) {
    this.#budget = budget
  }

  /** Resolves with a buffer of `size` bytes, once there is one. Rejects with the signal's reason. */
  async take(claim: Claim, size: number, signal: AbortSignal): Promise<Buffer> {
    signal.throwIfAborted()
    if (this.#fits(claim, size)) return this.#grant(claim, size)
    return await new Promise<Buffer>((resolve, reject) => {
      const entry = {
        claim,
        size,
        grant: (buffer: Buffer) => (signal.removeEventListener('abort', stop), resolve(buffer)),
      }
      const stop = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', stop, { once: true })
      this.#waiting.push(entry)
    })
  }

  /** Returns a buffer, and grants it to the first waiting upload that it fits. */
  give(claim: Claim, buffer: Buffer): void {
    claim.held--
    this.#taken -= buffer.length
    this.#idle.push(buffer)
    for (let at = 0; at < this.#waiting.length;) {
      const entry = this.#waiting[at]
      if (entry === undefined || !this.#fits(entry.claim, entry.size)) {
        at++
        continue
      }
      this.#waiting.splice(at, 1)
      entry.grant(this.#grant(entry.claim, entry.size))
    }
    let kept = this.#budget - this.#taken
    this.#idle = this.#idle.filter((idle) => (kept -= idle.length) >= 0)
  }

  /** Frees the idle buffers. */
  clear(): void {
    this.#idle = []
  }

  #fits(claim: Claim, size: number): boolean {
    return claim.held === 0 || this.#taken + size <= this.#budget
  }

  #grant(claim: Claim, size: number): Buffer {
    claim.held++
    this.#taken += size
    this.peak = Math.max(this.peak, this.#taken)
    const at = this.#idle.findIndex((buffer) => buffer.length === size)
    const found = at < 0 ? undefined : this.#idle.splice(at, 1)[0]
    return found ?? Buffer.allocUnsafeSlow(size)
  }
}
