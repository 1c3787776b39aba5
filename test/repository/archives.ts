import { Readable } from 'node:stream'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'

export const identity = await generateX25519Identity()
export const recipients = [await identityToRecipient(identity)]

/** As a child's output comes: in pieces with a memory of their own. */
export function asRead(bytes: Buffer, cut = 65_536): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += cut) {
        const piece = Buffer.allocUnsafeSlow(Math.min(cut, bytes.length - at))
        bytes.copy(piece, 0, at)
        yield piece
      }
    })(),
    { objectMode: false },
  )
}
