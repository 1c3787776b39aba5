import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { RunningS3 } from '../support/s3.ts'

/** A bucket as the SDK sees it, without Holdfast's code in between. */
export interface Bucket {
  /** Returns the keys, and `half:KEY` for each partial upload, sorted. */
  everything(): Promise<string[]>
  leaveHalf(key: string): Promise<void>
  close(): void
}

export function bucketOf(server: RunningS3, bucket: string): Bucket {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: server.env.AWS_ACCESS_KEY_ID,
      secretAccessKey: server.env.AWS_SECRET_ACCESS_KEY,
    },
  })
  return {
    async everything() {
      const objects =
        (await client.send(new ListObjectsV2Command({ Bucket: bucket }))).Contents ?? []
      // The stand-in cannot list partial uploads; the run has said so.
      const uploads =
        server.kind === 'stand-in'
          ? []
          : ((await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? [])
      return [
        ...objects.map(({ Key }) => Key ?? ''),
        ...uploads.map(({ Key }) => `half:${Key}`),
      ].sort()
    },
    async leaveHalf(key) {
      if (server.kind === 'stand-in') return
      const { UploadId } = await client.send(
        new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }),
      )
      await client.send(
        new UploadPartCommand({
          Bucket: bucket,
          Key: key,
          UploadId,
          PartNumber: 1,
          Body: Buffer.alloc(1000),
        }),
      )
    },
    close: () => client.destroy(),
  }
}
