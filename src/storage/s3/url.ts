import { UserError } from '../../errors.ts'

/** What an `s3://` URL says. */
export interface S3Address {
  /** As typed; it can't hold a secret, because a URL that does is refused. */
  url: string
  bucket: string
  /** Empty, or ends in `/`. */
  prefix: string
  /** `http://` or `https://`; undefined: the provider's own, by the region. */
  endpoint?: string
  /** Undefined: AWS_REGION or the profile's. */
  region?: string
  /** The bucket stands in the path instead of the host name. */
  pathStyle: boolean
}

const example =
  'It looks like s3://bucket/prefix?endpoint=https://s3.example.com&region=us-east-1; endpoint, region and path-style=true|false are optional.'

/**
 * Reads `s3://bucket/prefix?endpoint=…&region=…&path-style=…`. With an endpoint the region defaults
 * to us-east-1 (what S3-compatible servers expect from a client that knows none) and the path style
 * to true (their host names rarely have a wildcard).
 */
export function parseS3Url(text: string): S3Address {
  const parts = /^s3:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/i.exec(text)
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
    throw invalid(`has region=${JSON.stringify(region)}, which is no region's name`)
  return {
    url: text,
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
      throw invalid('has . or .. in its path; a key in a bucket has no such thing')
  }
  return segments.map((segment) => segment + '/').join('')
}

const known = ['endpoint', 'region', 'path-style']

function parseQuery(query: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    // The value is not shown: what stands under a name that we don't know may be a secret.
    if (!known.includes(name))
      throw invalid(`has the parameter ${JSON.stringify(name.slice(0, 40))}, which does not exist`)
    if (Object.hasOwn(found, name)) throw invalid(`has ${name}= twice`)
    if (value === '')
      throw invalid(`has ${name}= with nothing behind it (a variable that is not set, perhaps)`)
    found[name] = value
  }
  const style = found['path-style']
  if (style !== undefined && style !== 'true' && style !== 'false')
    throw invalid('has a path-style= that is neither true nor false')
  return found
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalid('has an endpoint= that does not begin with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw invalid(
      'has a user name or a password in its endpoint=; credentials belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    )
  if (url.search !== '' || url.hash !== '')
    throw invalid('has an endpoint= with a ? or # of its own')
  return text.replace(/\/+$/, '')
}

function invalid(what: string): UserError {
  return new UserError('storage-url-invalid', `storage: the s3:// URL ${what}.`, example)
}
