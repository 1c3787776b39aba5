import { UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { either, input, join, text, type Text } from '../../text.ts'
import { anyOf, isTransient, neverConnected, S3Failure } from './failure.ts'
import type { S3Address } from './url.ts'

/** Returns the UserError for a failed request. Returns any other error unchanged. */
export function explain(error: unknown, address: S3Address): unknown {
  if (!(error instanceof S3Failure)) return error
  const explanation = explanations.find(({ when }) => when(error)) ?? refused
  const server = address.endpoint ?? 'the AWS endpoint'
  const request = `${error.operation.action} in the bucket ${address.bucket}`
  const details = { failure: error, address, server, bucket: address.bucket, request }
  const { error: code, message, hint } = explanation
  return new UserError(code, message(details), hint?.(details), { cause: error })
}

interface Details {
  failure: S3Failure
  address: S3Address
  server: string
  bucket: string
  /** For example `write a/manifest.json in the bucket backups`. */
  request: string
}

interface Explanation {
  error: ErrorCode
  message: (details: Details) => Text
  /** Undefined where the catalogue's hint is as good. */
  hint?: (details: Details) => Text
}

const setCredentials = join(
  [
    'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones)',
    text`in the environment${either(' of the step, from repository secrets,', '')}`,
    either(
      'or log in with OIDC first: aws-actions/configure-aws-credentials, id-token: write.',
      'or log in first (aws sso login; in CI, OIDC).',
    ),
  ],
  ' ',
)

const credentialsRefused = anyOf(
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'ExpiredToken\\w*',
  'TokenRefreshRequired',
  'InvalidSecurity',
  'AuthFailure',
  'NotSignedUp',
  'InvalidClientTokenId',
  'XAdminUserNotFound',
)
const otherRegion = anyOf(
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
)

/** The first that matches explains the failure. */
const explanations: readonly (Explanation & { when: (failure: S3Failure) => boolean })[] = [
  {
    when: ({ code }) => /CredentialsProviderError|TokenProviderError|CredentialsError/.test(code),
    error: 'storage-credentials-missing',
    message: ({ bucket }) => `No S3 credentials were found for the bucket ${bucket}.`,
    hint: () => setCredentials,
  },
  {
    when: ({ code }) => code === 'RegionMissing',
    error: 'storage-region-wrong',
    message: ({ bucket }) => `No region is known for the bucket ${bucket}.`,
    hint: () => text`Add ?region=REGION to the URL in ${input('storage')}, or set AWS_REGION.`,
  },
  {
    when: ({ status, code }) =>
      status === undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|EPROTO|ERR_SSL/.test(code),
    error: 'storage-tls-untrusted',
    message: ({ server, failure }) =>
      `The TLS connection to ${server} failed or is not trusted (${failure.code}).`,
  },
  {
    when: neverConnected,
    error: 'storage-unreachable',
    message: ({ server, bucket, failure }) =>
      `${server} cannot be reached for the bucket ${bucket} (${failure.code}).`,
    hint: () =>
      join(
        [
          text`Check the endpoint= in ${input('storage')} (host, port, http or https), that the`,
          text`server runs, and that ${either('this runner', 'this machine')} may reach it`,
          '(firewall, VPN, HTTPS_PROXY).',
        ],
        ' ',
      ),
  },
  {
    when: ({ code }) => code === 'NoSuchBucket',
    error: 'storage-bucket-missing',
    message: ({ server, bucket }) => `The bucket ${bucket} does not exist at ${server}.`,
  },
  {
    when: ({ code }) => credentialsRefused.test(code),
    error: 'storage-credentials-refused',
    message: ({ server, bucket, failure }) =>
      `${server} refused the S3 credentials for the bucket ${bucket} (${failure.code}).`,
    hint: () =>
      join(
        [
          'The access key id or the secret key is wrong, has expired,',
          text`or belongs to another server. ${setCredentials}`,
        ],
        ' ',
      ),
  },
  {
    when: ({ status, code }) => otherRegion.test(code) || status === 301 || status === 307,
    error: 'storage-region-wrong',
    message: ({ bucket, address: { region }, failure }) =>
      `The bucket ${bucket} is not in ` +
      (region === undefined ? 'the region of AWS_REGION' : `the region ${region}`) +
      ` (${failure.code}).`,
    hint: ({ failure }) =>
      text`Set region=${failure.region ?? 'REGION'} in the URL in ${input('storage')}.`,
  },
  {
    when: ({ status, code }) => status === 403 || status === 401 || code === 'AccessDenied',
    error: 'storage-access-denied',
    message: ({ server, request, failure }) =>
      `${server} denied access: ${request} (${failure.code}).`,
    hint: ({ failure }) =>
      `Grant ${failure.operation.permission} to these S3 credentials, or use others that have it. ` +
      'A wrong secret key can also look like this.',
  },
  {
    when: ({ status, code }) =>
      status === 507 || /Quota|StorageFull|InsufficientStorage|TotalMaxSize/i.test(code),
    error: 'storage-full',
    message: ({ server, request, failure }) =>
      `${server} has no space left to ${request} (${failure.code}).`,
    hint: () =>
      text`Free space or raise the quota, then run again. ${input('keep')} limits how many backups stay.`,
  },
  {
    when: ({ status }) => status === 501 || status === 405,
    error: 'storage-unsupported',
    message: ({ server, failure }) =>
      `${server} does not support: ${failure.operation.action} (${failure.code}).`,
  },
  {
    when: isTransient,
    error: 'storage-unavailable',
    message: ({ server, request, failure }) =>
      `${server} failed on every attempt: ${request} (${statusOf(failure)}).`,
  },
]

const refused: Explanation = {
  error: 'storage-refused',
  message: ({ server, request, failure }) =>
    `${server} refused: ${request} ` +
    `(${failure.status ?? 'no answer'} ${failure.code}: ${failure.message}).`,
  hint: () =>
    join(
      [
        text`Check that the endpoint= in ${input('storage')} is the S3 API, not a web page or console.`,
        "If it is, see the server's log.",
      ],
      ' ',
    ),
}

/** Returns for example `503 SlowDown`, `503`, or `ECONNRESET`. */
function statusOf({ status, code }: S3Failure): string {
  if (status === undefined) return code
  return code === String(status) ? code : `${status} ${code}`
}
