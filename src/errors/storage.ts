import type { ErrorEntry } from './entry.ts'

/** What a store, or the network on the way to it, refuses. */
export const storageErrors = {
  'create-only-ignored': {
    message: 'The destination lets a later write replace an object that was written create-only.',
    hint:
      'Holdfast never overwrites a backup, so it does not use such a destination. ' +
      'Use a store with conditional writes (AWS S3, Cloudflare R2, MinIO, a recent Ceph), ' +
      'or a folder on another file system.',
  },
  'storage-access-denied': {
    message: 'The destination refuses the operation: permission denied.',
    hint:
      'For a folder, give the user that the job runs as (id shows it) permission to write there. ' +
      'For S3, grant the permission that the message names to the credentials in use.',
  },
  'storage-bucket-missing': {
    message: 'The bucket does not exist.',
    hint:
      'Check its name in the storage URL, and the endpoint and region. ' +
      'Holdfast does not create buckets.',
  },
  'storage-credentials-missing': {
    message: 'No S3 credentials were found.',
    hint:
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones) ' +
      'in the environment of the step, from repository secrets. Or log in with OIDC in an earlier ' +
      'step: aws-actions/configure-aws-credentials, with permissions: id-token: write.',
  },
  'storage-credentials-refused': {
    message: 'The S3 server refused the credentials.',
    hint:
      'The access key id or the secret key is wrong, has expired, or belongs to another server. ' +
      'Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.',
  },
  'storage-failed': {
    message: 'The file system of the destination failed.',
    hint: 'See the kernel log (dmesg), and check the disk or the network mount.',
  },
  'storage-full': {
    message: 'The destination has no space left.',
    hint:
      'Free space or raise the quota, then run again. ' +
      'Retention (the input keep) limits how many backups stay.',
  },
  'storage-not-a-folder': {
    message: 'A part of the path in a file:// URL is a file, not a folder.',
    hint: 'Name a folder in the file:// URL. Holdfast creates missing folders.',
  },
  'storage-not-confirmed': {
    message: 'The destination does not hold the bytes that were sent to it.',
    hint:
      'The store, the disk, or a proxy or mount on the way loses or changes data. ' +
      'Nothing was kept. Check its log before you trust it with backups.',
  },
  'storage-refused': {
    message: 'The S3 server refused a request for a reason that Holdfast does not know.',
    hint:
      'Check that the endpoint in the storage URL is the S3 API, not a web page or console. ' +
      "If it is, see the server's log.",
  },
  'storage-region-wrong': {
    message: 'The bucket is in another region, or no region is known for it.',
    hint: 'Add ?region=REGION to the storage URL, or set AWS_REGION.',
  },
  'storage-scheme-unknown': {
    message: 'A storage URL has a scheme that is not a kind of storage.',
    hint:
      'Write one URL on each line: s3://bucket/prefix?endpoint=URL&region=REGION, ' +
      'or file:///absolute/path.',
  },
  'storage-tls-untrusted': {
    message: 'The TLS connection to the S3 server could not be made, or is not trusted.',
    hint:
      'For a private certificate authority, save its certificate in a file and name the file in ' +
      'NODE_EXTRA_CA_CERTS. For a server without TLS, write endpoint=http://HOST:PORT.',
  },
  'storage-unavailable': {
    message: 'The S3 server, or the network on the way to it, failed on every attempt.',
    hint: "See the server's status page or log, and run again.",
  },
  'storage-unreachable': {
    message: 'No connection to the S3 server could be made.',
    hint:
      'Check the endpoint in the storage URL (host, port, http or https), that the server runs, ' +
      'and that this machine may reach it (firewall, VPN, HTTPS_PROXY).',
  },
  'storage-unsupported': {
    message: 'The S3 server does not support an operation that Holdfast needs.',
    hint:
      'Holdfast needs multipart uploads and create-only writes (If-None-Match). ' +
      'A newer version of the server may support them.',
  },
  'storage-url-invalid': {
    message: 'A storage URL cannot be used as it is written.',
    hint:
      'Write one URL on each line: s3://bucket/prefix?endpoint=URL&region=REGION, ' +
      'or file:///absolute/path. Credentials do not belong in the URL.',
  },
} as const satisfies Record<string, ErrorEntry>
