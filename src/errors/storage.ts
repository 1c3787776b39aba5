import type { ErrorEntry } from './entry.ts'

/** What a store, or the network before it, refuses. */
export const storageErrors = {
  'create-only-ignored': {
    message:
      'storage: … is on a file system that lets a file be replaced which was to be created only.',
    hint: 'Name a folder on another file system: Holdfast never overwrites a backup.',
  },
  'storage-access-denied': {
    message: 'permission denied',
    hint: 'Give the user that this job runs as (id shows it) the right to write in that folder, or name another folder.',
  },
  'storage-bucket-missing': {
    message: 'The bucket … does not exist at ….',
    hint: 'Check its name in the storage URL, and the endpoint and region; Holdfast does not create buckets.',
  },
  'storage-credentials-missing': {
    message: 'No S3 credentials were found for the bucket ….',
    hint: '…',
  },
  'storage-credentials-refused': {
    message: '… refused the S3 credentials for the bucket … (…).',
    hint: 'The access key id or the secret key is wrong, or they have expired, or they belong to another server. …',
  },
  'storage-failed': {
    message: 'the file system failed with …',
    hint: "See the kernel's log (dmesg) and the state of the disk or the network mount.",
  },
  'storage-full': { message: '…', hint: '…' },
  'storage-not-a-folder': {
    message: 'a part of the path is a file, not a folder',
    hint: 'Name a folder in the file:// URL; Holdfast makes the ones that are missing.',
  },
  'storage-not-confirmed': {
    message: 'storage: … was written with … bytes and has ….',
    hint: 'The disk or the network mount loses what it is given: look into its log before you trust it.',
  },
  'storage-refused': {
    message: '… refused: … in the bucket … (… …: …).',
    hint: 'Check that the endpoint= is the S3 server itself, not its web page or console; if it is, its log may tell more.',
  },
  'storage-region-wrong': {
    message: 'No region is known for the bucket ….',
    hint: 'Add ?region=… to the storage URL, or set AWS_REGION.',
  },
  'storage-scheme-unknown': {
    message: 'storage: the scheme …:// is not one that backups can be kept in.',
    hint: '…',
  },
  'storage-tls-untrusted': {
    message: 'No trusted TLS connection to … (…).',
    hint: 'For a server with a private certificate authority, put its certificate in a file and name that in NODE_EXTRA_CA_CERTS; for one without TLS, write endpoint=http://….',
  },
  'storage-unavailable': {
    message:
      "… failed again and again: … in the bucket … (…${status === undefined || code === String(status) ? '' : ",
    hint: '…',
  },
  'storage-unreachable': {
    message: "… can't be reached for the bucket … (…).",
    hint: 'Check the endpoint= in the storage URL (host, port, http or https), that the server runs, and that this runner may reach it (firewall, VPN, HTTPS_PROXY).',
  },
  'storage-unsupported': {
    message: '… does not know how to: … (…).',
    hint: 'Holdfast needs multipart uploads and create-only writes (If-None-Match) of the store; a newer version of the server may have them.',
  },
  'storage-url-invalid': {
    message:
      'storage: a …:// URL must not hold a user name or a password (there is an @ before its path).',
    hint: 'For S3, pass AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY through env: from repository secrets, or log in by OIDC, and take them out of the URL.',
  },
} as const satisfies Record<string, ErrorEntry>
