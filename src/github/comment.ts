import { readFileSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { truncate } from '../report/markdown/markdown.ts'
import type { Env } from './inputs/input.ts'

/** What GitHub takes in one comment, in characters. */
export const commentLimit = 65_536

/**
 * What became of the comment; `why` is a sentence for the log. `broken`: not a matter of rights,
 * and so worth a warning.
 */
export type CommentResult =
  { posted: 'created' | 'updated'; url: string } | { posted: 'no'; why: string; broken: boolean }

interface PullRequest {
  owner: string
  repo: string
  number: number
  fork: boolean
}

/**
 * Puts the report into the pull request's one comment of this label: found by a hidden marker, made
 * when there is none. It never throws: a verdict does not depend on whether it could be posted, and
 * the job summary has it too.
 */
export async function postComment(
  markdown: string,
  label: string,
  token: string,
  env: Env,
): Promise<CommentResult> {
  const no = (why: string, broken = false): CommentResult => ({ posted: 'no', why, broken })
  try {
    const pull = pullRequestOf(env)
    if (!pull)
      return no(
        'There is no comment: this run is not for a pull request. The report is in the job summary.',
      )
    if (!token)
      return no('There is no comment: github-token is empty. The report is in the job summary.')
    return await post(pull, markdown, marker(label), token, env)
  } catch (error) {
    const status = statusOf(error)
    const fork = safely(() => pullRequestOf(env)?.fork) ?? false
    if (status === 401)
      return no(
        'There is no comment: GitHub does not accept github-token. The report is in the job summary.',
        true,
      )
    if (status !== 403 && status !== 404)
      return no(`There is no comment: ${messageOf(error)}. The report is in the job summary.`, true)
    return no(
      fork
        ? 'There is no comment: the pull request comes from a fork, where the token may only read. The report is in the job summary.'
        : 'There is no comment: github-token may not write one. Give the job "permissions: pull-requests: write". The report is in the job summary.',
    )
  }
}

async function post(
  pull: PullRequest,
  markdown: string,
  mark: string,
  token: string,
  env: Env,
): Promise<CommentResult> {
  const { getOctokit } = await import('@actions/github')
  const { rest, paginate } = getOctokit(
    token,
    env['GITHUB_API_URL'] ? { baseUrl: env['GITHUB_API_URL'] } : {},
  )
  const { owner, repo, number } = pull
  const body = `${mark}\n${truncate(markdown, commentLimit - mark.length - 1, 'characters')}`
  const marked: { id: number; login: string; bot: boolean }[] = []
  for await (const page of paginate.iterator(rest.issues.listComments, {
    owner,
    repo,
    issue_number: number,
    per_page: 100,
  })) {
    for (const each of page.data) {
      if (each.body?.startsWith(mark))
        marked.push({ id: each.id, login: each.user?.login ?? '', bot: each.user?.type === 'Bot' })
    }
  }
  // anybody can write the marker; who wrote a comment can also change it, so ours is never put into
  // somebody else's
  let own = marked.find((each) => each.bot)
  if (!own && marked.length > 0) {
    const me = await rest.users.getAuthenticated().then(
      ({ data }) => data.login,
      () => undefined,
    )
    own = marked.find((each) => each.login === me)
  }
  if (own) {
    const { data } = await rest.issues.updateComment({ owner, repo, comment_id: own.id, body })
    return { posted: 'updated', url: data.html_url }
  }
  const { data } = await rest.issues.createComment({ owner, repo, issue_number: number, body })
  return { posted: 'created', url: data.html_url }
}

function marker(label: string): string {
  return `<!-- holdfast test-migration ${label.replace(/[^A-Za-z0-9._=]/g, '_')} -->`
}

/** The pull request that the run is for, from the event; undefined for other events. */
function pullRequestOf(env: Env): PullRequest | undefined {
  const [owner, repo] = (env['GITHUB_REPOSITORY'] ?? '').split('/')
  const file = env['GITHUB_EVENT_PATH']
  if (!owner || !repo || !file) return undefined
  const event = JSON.parse(readFileSync(file, 'utf8')) as PullRequestEvent | null
  const pull = event?.pull_request
  const number = pull?.number ?? (event?.issue?.pull_request ? event.issue.number : undefined)
  if (number === undefined) return undefined
  // the head of a fork that was deleted is null
  const fork =
    pull !== undefined &&
    pull.head?.repo?.full_name !== undefined &&
    pull.head.repo.full_name !== `${owner}/${repo}`
  return {
    owner,
    repo,
    number,
    fork: fork || (pull?.head !== undefined && pull.head.repo === null),
  }
}

interface PullRequestEvent {
  pull_request?: { number: number; head?: { repo?: { full_name?: string } | null } }
  issue?: { number: number; pull_request?: unknown }
}

function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' &&
    error !== null &&
    'status' in error &&
    typeof error.status === 'number'
    ? error.status
    : undefined
}

function safely<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
