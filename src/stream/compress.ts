import type { Transform, TransformOptions } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress, type ZstdOptions } from 'node:zlib'

/**
 * Bytes of each piece that comes out; the usual 16 KiB are handed on four thousand times for each
 * 64 MB.
 */
const chunkSize = 128 * 1024

/**
 * One zstd frame with a checksum, for archives of a pg_dump that cannot compress by zstd itself (15
 * and older). One frame an object: a second frame would be dropped in silence by some decoders. No
 * worker threads: Node's binding truncates with `nbWorkers`. It is given one piece after the other:
 * a last piece that waits when the end is known ends the frame, and then the end makes another,
 * empty one (seen on Node 24), behind which a cut would not be noticed.
 */
export function compressing(): Transform {
  const options: ZstdOptions & TransformOptions = {
    chunkSize,
    writableHighWaterMark: 1,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  }
  return createZstdCompress(options)
}

export function decompressing(): Transform {
  return createZstdDecompress({ chunkSize })
}
