import { readFileSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import type { Report } from '../report/blocks.ts'
import { renderMarkdown } from '../report/render/markdown.ts'
import { truncate } from '../report/render/truncate.ts'
import { either, input, type Text, text } from '../text.ts'
import type { Env } from './inputs/input.ts'

/** GitHub refuses a comment with more characters. */
export const commentLimit = 65_536

/**
 * What happened to the comment. `why` is a sentence for the log. `broken` means that the cause is
 * not a missing permission, so that it is worth a warning.
 */
export type CommentResult =
  { posted: 'created' | 'updated'; url: string } | { posted: 'no'; why: Text; broken: boolean }

interface PullRequest {
  owner: string
  repo: string
  number: number
  fork: boolean
}

/**
 * Posts the report as the pull request's comment for this label, or updates that comment, which it
 * finds by a hidden marker. Never throws: the verdict does not depend on the comment, and the job
 * summary has the same report.
 */
export async function postComment(
  report: Report,
  label: string,
  token: string,
  env: Env,
): Promise<CommentResult> {
  try {
    const pull = pullRequestOf(env)
    if (!pull) return notPosted('this run is not for a pull request.')
    if (!token) return notPosted(text`${input('github-token')} is empty.`)
    return await post(pull, renderMarkdown(report), marker(label), token, env)
  } catch (error) {
    const status = statusOf(error)
    if (status === 401) return notPosted(text`GitHub rejects ${input('github-token')}.`, true)
    if (status !== 403 && status !== 404) return notPosted(`${messageOf(error)}.`, true)
    return safely(() => pullRequestOf(env)?.fork)
      ? notPosted('the pull request comes from a fork, where the token can only read.')
      : notPosted(
          text`${input('github-token')} has no permission to write one. Give the job "permissions:
            pull-requests: write".`,
        )
  }
}

function notPosted(reason: Text, broken = false): CommentResult {
  const where = either('in the job summary', 'above')
  return {
    posted: 'no',
    why: text`No comment was posted: ${reason} The report is ${where}.`,
    broken,
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
  // anyone can write the marker, and authors can change their comments: never update another
  // author's comment
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

/** Returns the pull request of the event that started the run; undefined for other events. */
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
