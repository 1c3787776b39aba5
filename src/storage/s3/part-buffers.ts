/** One upload's claim on the buffers. */
export interface Claim {
  /** Buffers that it has now. */
  held: number
}

/**
 * Part buffers, re-used as long as anything is open.
 *
 * All uploads together stay within `budget` bytes, except that each one may always have a single
 * buffer: without that, uploads that wait for one another (a fleet whose streams are read a few at
 * a time, each to several destinations) could stop for ever.
 */
export class PartBuffers {
  readonly #budget: number
  readonly #waiting: { claim: Claim; size: number; grant: (buffer: Buffer) => void }[] = []
  #idle: Buffer[] = []
  #taken = 0
  /** The most bytes that were out at once. */
  peak = 0

  constructor(budget: number) {
    this.#budget = budget
  }

  /** Waits for a buffer of `size` bytes. Rejects with the signal's reason. */
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
