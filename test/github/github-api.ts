import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { Ajv, type ValidateFunction } from 'ajv'

/**
 * A stand-in for the part of GitHub's API that comments need, on a port of this machine. Every
 * request is held against GitHub's own description of its API (@octokit/openapi), and so is every
 * answer, so that the stand-in cannot be kinder than GitHub.
 */
export interface GitHubApi {
  url: string
  comments: StoredComment[]
  /** Method and path of each request. */
  requests: string[]
  /** What broke the description; a test that leaves this unread proves little. */
  offences: string[]
  close(): Promise<void>
}

export interface StoredComment {
  id: number
  body: string
  login: string
  type: 'Bot' | 'User'
}

export interface GitHubApiOptions {
  comments?: StoredComment[]
  /** Who the token belongs to; a token of an app (such as GITHUB_TOKEN) has no user. */
  user?: string
  /** The status with which writing is refused: 403 for a token that may only read. */
  refuseWrites?: 401 | 403 | 404
  /** The status of every answer. */
  broken?: 401 | 500
}

const require = createRequire(import.meta.url)
interface Operation {
  parameters?: { $ref: string }[]
  requestBody?: unknown
}
interface Description {
  paths: Record<string, Record<string, Operation>>
  components: { parameters: Record<string, { name: string; in: string; schema: unknown }> }
}
const description = JSON.parse(
  readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.json'), 'utf8'),
) as Description
const ajv = new Ajv({
  strict: false,
  validateFormats: false,
  validateSchema: false,
  coerceTypes: false,
  allErrors: true,
})
ajv.addSchema(description, 'github')
const compiled = new Map<string, ValidateFunction>()

export async function startGitHubApi(options: GitHubApiOptions = {}): Promise<GitHubApi> {
  const { broken, refuseWrites, user } = options
  const comments = [...(options.comments ?? [])]
  const requests: string[] = []
  const offences: string[] = []
  type Answer = [status: number, body: unknown, link?: string | undefined]
  const answer = (method: string, path: string, query: URLSearchParams, body: unknown): Answer => {
    if (broken)
      return [broken, { message: 'Broken', documentation_url: 'https://docs.github.com/rest' }]
    const denied = {
      message: 'Resource not accessible by integration',
      documentation_url: 'https://docs.github.com/rest',
    }
    if (path === '/user') return user ? [200, publicUser(user)] : [403, denied]
    if (method === 'GET') {
      const [page, size] = [Number(query.get('page') ?? 1), Number(query.get('per_page') ?? 30)]
      const more = comments.length > page * size
      return [
        200,
        comments.slice((page - 1) * size, page * size).map(comment),
        more ? `<${url}${path}?per_page=${size}&page=${page + 1}>; rel="next"` : undefined,
      ]
    }
    if (refuseWrites) return [refuseWrites, denied]
    const text = (body as { body: string }).body
    if (text.length > 65_536)
      return [
        422,
        { message: 'Validation Failed', documentation_url: 'https://docs.github.com/rest' },
      ]
    if (method === 'PATCH') {
      const known = comments.find((each) => path.endsWith(`/${each.id}`))
      if (!known) return [404, denied]
      known.body = text
      return [200, comment(known)]
    }
    const made: StoredComment = {
      id: 1000 + comments.length,
      body: text,
      login: user ?? 'github-actions[bot]',
      type: user ? 'User' : 'Bot',
    }
    comments.push(made)
    return [201, comment(made)]
  }
  const handle = async (request: IncomingMessage): Promise<Answer> => {
    const method = request.method ?? ''
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://api')
    requests.push(`${method} ${pathname}`)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const raw = Buffer.concat(chunks).toString('utf8')
    const body: unknown = raw === '' ? undefined : JSON.parse(raw)
    if (!/^(token|bearer) \S+$/i.test(request.headers.authorization ?? ''))
      offences.push(`${method} ${pathname}: no token`)
    const template = Object.keys(description.paths).find((each) =>
      new RegExp(`^${each.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(pathname),
    )
    const operation =
      template === undefined ? undefined : description.paths[template]?.[method.toLowerCase()]
    if (template === undefined || !operation) {
      offences.push(`${method} ${pathname}: GitHub has no such operation`)
      return [404, {}]
    }
    const place = `/paths/${pointer(template)}/${method.toLowerCase()}`
    for (const wrong of wrongParameters(operation, template, pathname, searchParams))
      offences.push(`${method} ${pathname}: ${wrong}`)
    if (operation.requestBody)
      offences.push(...check(`${place}/requestBody/content/application~1json/schema`, body))
    const [status, content, link] = answer(method, pathname, searchParams, body)
    if (status < 300)
      offences.push(
        ...check(`${place}/responses/${status}/content/application~1json/schema`, content),
      )
    return [status, content, link]
  }
  const server = createServer((request, response) => {
    handle(request).then(
      ([status, body, link]) => {
        response.writeHead(status, {
          'content-type': 'application/json; charset=utf-8',
          connection: 'close',
          ...(link ? { link } : {}),
        })
        response.end(JSON.stringify(body))
      },
      (error: unknown) => {
        offences.push(String(error))
        response.writeHead(500).end()
      },
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    comments,
    requests,
    offences,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** Path and query parameters against their schemas; a number in a URL is a text. */
function wrongParameters(
  operation: Operation,
  template: string,
  pathname: string,
  query: URLSearchParams,
): string[] {
  const parameters = (operation.parameters ?? []).map(({ $ref }) => ({
    place: $ref.slice(1),
    ...description.components.parameters[$ref.split('/').at(-1) as string],
  }))
  const names = [...template.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name)
  const values = pathname.split('/').filter((_, i) => template.split('/')[i]?.startsWith('{'))
  const given: [where: string, name: string, value: string][] = [
    ...values.map((value, i): [string, string, string] => ['path', names[i] as string, value]),
    ...[...query].map(([name, value]): [string, string, string] => ['query', name, value]),
  ]
  return given.flatMap(([where, name, value]) => {
    const known = parameters.find((each) => each.in === where && each.name === name)
    if (!known) return [`no ${where} parameter ${name}`]
    const limit = name === 'per_page' && Number(value) > 100 ? ['per_page is over 100'] : []
    return [
      ...limit,
      ...check(`${known.place}/schema`, /^\d+$/.test(value) ? Number(value) : value),
    ]
  })
}

function check(place: string, value: unknown): string[] {
  const validate = compiled.get(place) ?? ajv.compile({ $ref: `github#${place}` })
  compiled.set(place, validate)
  return validate(value)
    ? []
    : (validate.errors ?? []).map(
        (error) => `${place}: ${error.instancePath} ${error.message ?? ''}`,
      )
}

function pointer(key: string): string {
  return encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))
}

function comment({ id, body, login, type }: StoredComment): unknown {
  const page = `https://github.example/acme/shop/pull/7#issuecomment-${id}`
  const moment = '2026-11-21T03:10:45Z'
  return {
    id,
    node_id: `IC_${id}`,
    url: page,
    html_url: page,
    issue_url: page,
    body,
    user: simpleUser(login, type),
    created_at: moment,
    updated_at: moment,
    author_association: 'NONE',
  }
}

function simpleUser(login: string, type: string): Record<string, unknown> {
  const links = [
    'avatar_url',
    'events_url',
    'followers_url',
    'following_url',
    'gists_url',
    'html_url',
    'organizations_url',
    'received_events_url',
    'repos_url',
    'starred_url',
    'subscriptions_url',
    'url',
  ]
  return {
    login,
    type,
    id: 1,
    node_id: 'U_1',
    gravatar_id: '',
    site_admin: false,
    ...Object.fromEntries(links.map((name) => [name, 'https://github.example/u'])),
  }
}

function publicUser(login: string): unknown {
  const nothing = Object.fromEntries(
    ['name', 'company', 'blog', 'location', 'email', 'hireable', 'bio'].map((name) => [name, null]),
  )
  return {
    ...simpleUser(login, 'User'),
    ...nothing,
    user_view_type: 'public',
    public_repos: 0,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: '2020-01-01T00:00:00Z',
    updated_at: '2020-01-01T00:00:00Z',
  }
}
