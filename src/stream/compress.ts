import type { Transform, TransformOptions } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress, type ZstdOptions } from 'node:zlib'

/**
 * The size of the output pieces in bytes. Node's default of 16 KiB makes four thousand of them for
 * each 64 MB.
 */
const chunkSize = 128 * 1024

/**
 * Returns a stage that compresses into one zstd frame with a checksum, for a pg_dump that cannot
 * compress with zstd itself (15 and older).
 *
 * - One frame for each object: some decoders silently drop a second frame.
 * - No worker threads: Node's binding truncates the output with `nbWorkers`.
 * - It takes one piece at a time. If the last piece is still waiting when the stream ends, that
 *   piece ends the frame, and the end adds an empty frame (seen on Node 24). A cut after the first
 *   frame would then go unnoticed.
 */
export function compressing(): Transform {
  const options: ZstdOptions & TransformOptions = {
    chunkSize,
    writableHighWaterMark: 1,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  }
  return createZstdCompress(options)
}

/** Returns a stage that decompresses zstd. It fails if the input ends early. */
export function decompressing(): Transform {
  return createZstdDecompress({ chunkSize })
}
