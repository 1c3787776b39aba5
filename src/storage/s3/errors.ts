import { UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import type { S3Address } from './url.ts'

/** What was asked of the store, for messages. */
export interface Doing {
  /** For example `write production/x/manifest.json`. */
  what: string
  /** The permission it takes, by the name that AWS gives it. */
  permission: string
}

/**
 * A request that ended badly, sorted: internal to the S3 backend, shown to a person as the
 * UserError that `explain` makes of it.
 */
export class S3Failure extends Error {
  override name = 'S3Failure'
  readonly doing: Doing
  /** The HTTP status; undefined when no answer came. */
  readonly status: number | undefined
  /** The store's own word (`NoSuchBucket`), or the system's (`ECONNREFUSED`). */
  readonly code: string
  /** The store's region, where it told us that we asked the wrong one. */
  readonly region: string | undefined

  constructor(
    doing: Doing,
    status: number | undefined,
    code: string,
    message: string,
    region?: string,
  ) {
    super(message)
    this.doing = doing
    this.status = status
    this.code = code
    this.region = region
  }
}

interface Thrown extends Error {
  code?: unknown
  Code?: unknown
  Region?: unknown
  $metadata?: { httpStatusCode?: number }
  $response?: { statusCode?: number; headers?: Record<string, string> }
}

/**
 * Sorts what the SDK threw. What is no failure of a request (a mistake of ours) comes back as it
 * was.
 */
export function failureOf(error: unknown, doing: Doing): unknown {
  if (error instanceof S3Failure || error instanceof UserError || !(error instanceof Error))
    return error
  const thrown = error as Thrown
  const status = thrown.$metadata?.httpStatusCode ?? thrown.$response?.statusCode
  if (
    status === undefined &&
    thrown.code === undefined &&
    /^(Type|Range|Reference|Syntax)?Error$/.test(thrown.name) &&
    !/Region is missing/.test(thrown.message)
  )
    return error
  const named = [thrown.Code, status === undefined ? thrown.code : undefined, thrown.name].find(
    (word): word is string => typeof word === 'string' && word !== 'Error',
  )
  const region = thrown.Region ?? thrown.$response?.headers?.['x-amz-bucket-region']
  const code = /Region is missing/.test(thrown.message) ? 'RegionMissing' : (named ?? 'Unknown')
  // Without the SDK's error behind it: that holds the request's headers, the access key id among
  // them.
  return new S3Failure(
    doing,
    status,
    code,
    thrown.message,
    typeof region === 'string' ? region : undefined,
  )
}

/** No connection came about: nothing listens, no such host, or no way there. */
export function neverConnected(failure: S3Failure): boolean {
  return (
    failure.status === undefined &&
    (/^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/.test(failure.code) ||
      /did not establish a connection/.test(failure.message))
  )
}

const passing =
  /^(InternalError|SlowDown|ServiceUnavailable|RequestTimeout|RequestTimeTooSkewed|ConditionalRequestConflict|OperationAborted|Throttling\w*|TooManyRequests\w*|BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|IncompleteBody)$/
const network =
  /^(TimeoutError|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|HPE_\w+|ERR_STREAM_PREMATURE_CLOSE|ERR_SOCKET_\w+)$/

/**
 * Whether the same request may well pass a moment later: the server is busy or broken, or the way
 * there is.
 */
export function isTransient(failure: S3Failure): boolean {
  if (failure.status === undefined)
    return network.test(failure.code) || /socket hang up|aborted/.test(failure.message)
  return (
    passing.test(failure.code) ||
    [408, 429, 500, 502, 503, 504].includes(failure.status) ||
    failure.status < 300
  )
}

/**
 * The store does not know what we asked for by a header (501), or says so of a checksum in other
 * words.
 */
export function refusesChecksums(failure: S3Failure): boolean {
  return (
    failure.status === 501 ||
    (failure.status === 400 &&
      !passing.test(failure.code) &&
      /checksum/i.test(failure.code + failure.message))
  )
}

const credentialsHint =
  'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones) through env: from repository secrets, or log in by OIDC beforehand (aws-actions/configure-aws-credentials with permissions: id-token: write).'

/** The UserError that a person is shown; anything but an S3Failure comes back as it was. */
export function explain(error: unknown, address: S3Address): unknown {
  if (!(error instanceof S3Failure)) return error
  const { bucket } = address
  const server = address.endpoint ?? 'the AWS endpoint'
  const { doing, code, status } = error
  const fail = (id: ErrorCode, message: string, hint: string): UserError =>
    new UserError(id, message, hint, { cause: error })

  if (/CredentialsProviderError|TokenProviderError|CredentialsError/.test(code)) {
    return fail(
      'storage-credentials-missing',
      `No S3 credentials were found for the bucket ${bucket}.`,
      credentialsHint,
    )
  }
  if (code === 'RegionMissing')
    return fail(
      'storage-region-wrong',
      `No region is known for the bucket ${bucket}.`,
      'Add ?region=… to the storage URL, or set AWS_REGION.',
    )
  if (status === undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|EPROTO|ERR_SSL/.test(code)) {
    return fail(
      'storage-tls-untrusted',
      `No trusted TLS connection to ${server} (${code}).`,
      'For a server with a private certificate authority, put its certificate in a file and name that in NODE_EXTRA_CA_CERTS; for one without TLS, write endpoint=http://….',
    )
  }
  if (neverConnected(error)) {
    return fail(
      'storage-unreachable',
      `${server} can't be reached for the bucket ${bucket} (${code}).`,
      'Check the endpoint= in the storage URL (host, port, http or https), that the server runs, and that this runner may reach it (firewall, VPN, HTTPS_PROXY).',
    )
  }
  if (code === 'NoSuchBucket')
    return fail(
      'storage-bucket-missing',
      `The bucket ${bucket} does not exist at ${server}.`,
      'Check its name in the storage URL, and the endpoint and region; Holdfast does not create buckets.',
    )
  if (
    /^(InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken\w*|TokenRefreshRequired|InvalidSecurity|AuthFailure|NotSignedUp|InvalidClientTokenId|XAdminUserNotFound)$/.test(
      code,
    )
  ) {
    return fail(
      'storage-credentials-refused',
      `${server} refused the S3 credentials for the bucket ${bucket} (${code}).`,
      `The access key id or the secret key is wrong, or they have expired, or they belong to another server. ${credentialsHint}`,
    )
  }
  if (
    code === 'PermanentRedirect' ||
    code === 'AuthorizationHeaderMalformed' ||
    code === 'IllegalLocationConstraintException' ||
    status === 301 ||
    status === 307
  ) {
    return fail(
      'storage-region-wrong',
      `The bucket ${bucket} is not in ${address.region === undefined ? 'the region that AWS_REGION names' : `the region ${address.region}`} (${code}).`,
      `Set region=${error.region ?? '…'} in the storage URL to the region where the bucket is.`,
    )
  }
  if (status === 403 || status === 401 || code === 'AccessDenied') {
    return fail(
      'storage-access-denied',
      `${server} denied: ${doing.what} in the bucket ${bucket} (${code}).`,
      `Grant ${doing.permission} to these S3 credentials, or use credentials that have it; a wrong secret key can look like this too.`,
    )
  }
  if (status === 507 || /Quota|StorageFull|InsufficientStorage|TotalMaxSize/i.test(code)) {
    return fail(
      'storage-full',
      `${server} has no space left to ${doing.what} in the bucket ${bucket} (${code}).`,
      'Free space or raise the quota, then run again; keep: lowers how many backups stay.',
    )
  }
  if (status === 501 || status === 405) {
    return fail(
      'storage-unsupported',
      `${server} does not know how to: ${doing.what} (${code}).`,
      'Holdfast needs multipart uploads and create-only writes (If-None-Match) of the store; a newer version of the server may have them.',
    )
  }
  if (isTransient(error)) {
    return fail(
      'storage-unavailable',
      `${server} failed again and again: ${doing.what} in the bucket ${bucket} (${status ?? code}${status === undefined || code === String(status) ? '' : ` ${code}`}).`,
      'The server, or the network before it, is in trouble: see its status page or its log, and run again.',
    )
  }
  return fail(
    'storage-refused',
    `${server} refused: ${doing.what} in the bucket ${bucket} (${status ?? 'no answer'} ${code}: ${error.message}).`,
    'Check that the endpoint= is the S3 server itself, not its web page or console; if it is, its log may tell more.',
  )
}
