import { UserError } from '../../errors.ts'
import { input, text } from '../../text.ts'

/** A parsed `s3://` URL. */
export interface S3Address {
  /** As typed. It contains no secret: a URL with one is refused. */
  url: string
  bucket: string
  /** Empty, or ends in `/`. */
  prefix: string
  /** `http://…` or `https://…`; undefined for the AWS endpoint of the region. */
  endpoint?: string
  /** Undefined for AWS_REGION or the profile's region. */
  region?: string
  /** Whether requests have the bucket in their path instead of the host name. */
  pathStyle: boolean
}

const example =
  'It looks like s3://bucket/prefix?endpoint=https://s3.example.com&region=us-east-1. ' +
  'endpoint, region and path-style=true|false are optional.'

/**
 * Parses `s3://bucket/prefix?endpoint=…&region=…&path-style=…`. With an endpoint, the region defaults
 * to us-east-1 (which S3-compatible servers expect from a client without one) and the path style to
 * true (few have wildcard host names). Throws a UserError if the URL is not valid.
 */
export function parseS3Url(url: string): S3Address {
  const parts = /^s3:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/i.exec(url)
  if (!parts) throw invalid('is not complete')
  const [, bucket = '', path = '', query = '', fragment] = parts
  if (fragment !== undefined) throw invalid('has a # in it; write it as %23')
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(bucket))
    throw invalid(
      bucket === ''
        ? 'names no bucket'
        : `has ${JSON.stringify(bucket)} where the bucket's name should be`,
    )
  const parameters = parseQuery(query)
  const endpoint =
    parameters.endpoint === undefined ? undefined : checkEndpoint(parameters.endpoint)
  const region = parameters.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  if (region !== undefined && !/^[A-Za-z0-9-]+$/.test(region))
    throw invalid(`has region=${JSON.stringify(region)}, which is not the name of a region`)
  return {
    url,
    bucket,
    prefix: parsePrefix(path),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    pathStyle:
      parameters['path-style'] === undefined
        ? endpoint !== undefined
        : parameters['path-style'] === 'true',
  }
}

function parsePrefix(path: string): string {
  const segments = path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => {
      try {
        return decodeURIComponent(segment)
      } catch {
        throw invalid(`has a broken percent sign in its path, at ${JSON.stringify(segment)}`)
      }
    })
  for (const segment of segments) {
    if (segment === '.' || segment === '..')
      throw invalid('has . or .. in its path, which no key in a bucket has')
  }
  return segments.map((segment) => segment + '/').join('')
}

const known = ['endpoint', 'region', 'path-style']

function parseQuery(query: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    // The value of an unknown parameter is not shown: it may be a secret.
    if (!known.includes(name))
      throw invalid(`has the parameter ${JSON.stringify(name.slice(0, 40))}, which does not exist`)
    if (Object.hasOwn(found, name)) throw invalid(`has ${name}= twice`)
    if (value === '')
      throw invalid(`has ${name}= without a value (perhaps from a variable that is not set)`)
    found[name] = value
  }
  const style = found['path-style']
  if (style !== undefined && style !== 'true' && style !== 'false')
    throw invalid('has a path-style= other than true or false')
  return found
}

function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalid('has an endpoint= that does not begin with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw invalid(
      'has a user name or a password in its endpoint=: ' +
        'credentials belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    )
  if (url.search !== '' || url.hash !== '')
    throw invalid('has an endpoint= with a ? or # of its own')
  return endpoint.replace(/\/+$/, '')
}

function invalid(problem: string): UserError {
  return new UserError(
    'storage-url-invalid',
    text`The s3:// URL in ${input('storage')} ${problem}.`,
    example,
  )
}
