import { UserError } from '../../errors.ts'

/** What a request is for, to be named in an error. */
export interface Operation {
  /** For example `write production/x/manifest.json`. */
  action: string
  /** The permission it needs, by AWS's name. */
  permission: string
}

/** A failed request. It stays inside the S3 backend; `explain` turns it into a UserError. */
export class S3Failure extends Error {
  override name = 'S3Failure'
  readonly operation: Operation
  /** The HTTP status; undefined when no answer came. */
  readonly status: number | undefined
  /** The store's code (`NoSuchBucket`), or the system's (`ECONNREFUSED`). */
  readonly code: string
  /** The region of the bucket, if the store answered that the request went to another one. */
  readonly region: string | undefined

  constructor(
    operation: Operation,
    status: number | undefined,
    code: string,
    message: string,
    region?: string,
  ) {
    super(message)
    this.operation = operation
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
 * Returns the S3Failure for what the SDK threw. Returns an error that is no failed request (a bug)
 * unchanged.
 */
export function failureOf(error: unknown, operation: Operation): unknown {
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
  // The SDK's error is not the cause: it holds the request's headers, with the access key id.
  return new S3Failure(
    operation,
    status,
    code,
    thrown.message,
    // the server's word, which a hint puts into a URL to copy
    typeof region === 'string' && /^[\w-]{1,40}$/.test(region) ? region : undefined,
  )
}

/** Returns whether no connection was made: nothing listens, no such host, or no route. */
export function neverConnected(failure: S3Failure): boolean {
  return (
    failure.status === undefined &&
    (/^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/.test(failure.code) ||
      /did not establish a connection/.test(failure.message))
  )
}

/** Returns a pattern that matches exactly one of the codes; each may be a pattern itself. */
export function anyOf(...codes: string[]): RegExp {
  return new RegExp(`^(${codes.join('|')})$`)
}

const transientCodes = anyOf(
  'InternalError',
  'SlowDown',
  'ServiceUnavailable',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'ConditionalRequestConflict',
  'OperationAborted',
  'Throttling\\w*',
  'TooManyRequests\\w*',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'IncompleteBody',
)
const transientStatuses = [408, 429, 500, 502, 503, 504]
const networkCodes = anyOf(
  'TimeoutError',
  'ECONN\\w+',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'HPE_\\w+',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_SOCKET_\\w+',
)

/** Returns whether the same request may succeed later: the server or the network is in trouble. */
export function isTransient(failure: S3Failure): boolean {
  if (failure.status === undefined)
    return networkCodes.test(failure.code) || /socket hang up|aborted/.test(failure.message)
  return (
    transientCodes.test(failure.code) ||
    transientStatuses.includes(failure.status) ||
    failure.status < 300
  )
}

/** Returns whether the store does not support checksums: it answers 501, or 400 and names them. */
export function refusesChecksums(failure: S3Failure): boolean {
  return (
    failure.status === 501 ||
    (failure.status === 400 &&
      !transientCodes.test(failure.code) &&
      /checksum/i.test(failure.code + failure.message))
  )
}
