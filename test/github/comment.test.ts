import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { commentLimit, postComment, type CommentResult } from '../../src/github/comment.ts'
import type { Env } from '../../src/github/inputs/input.ts'
import { list, type Report, verdict } from '../../src/report/blocks.ts'
import { plainText } from '../../src/text.ts'
import {
  startGitHubApi,
  type GitHubApi,
  type GitHubApiOptions,
  type StoredComment,
} from './github-api.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-comment-'))
after(() => rmSync(folder, { recursive: true }))
const passed = [verdict('pass', 'pass')]
const marker = '<!-- holdfast test-migration production -->'
const ownPull = { pull_request: { number: 7, head: { repo: { full_name: 'acme/shop' } } } }
const forkPull = { pull_request: { number: 7, head: { repo: { full_name: 'mallory/shop' } } } }

function envFor(event: unknown, api = 'http://127.0.0.1:9'): Env {
  const file = join(folder, `event-${Math.random()}.json`)
  writeFileSync(file, typeof event === 'string' ? event : JSON.stringify(event))
  return { GITHUB_REPOSITORY: 'acme/shop', GITHUB_EVENT_PATH: file, GITHUB_API_URL: api }
}

/** Posts to a stand-in, and sees that GitHub's description of its API was kept to. */
async function post(
  options: GitHubApiOptions = {},
  { report = passed, event = ownPull }: { report?: Report; event?: unknown } = {},
): Promise<{ result: CommentResult; api: GitHubApi }> {
  const api = await startGitHubApi(options)
  try {
    const result = await postComment(report, 'production', 'ghs_token', envFor(event, api.url))
    assert.deepEqual(api.offences, [])
    return { result, api }
  } finally {
    await api.close()
  }
}
const chatter = (count: number): StoredComment[] =>
  Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    body: `comment ${i}`,
    login: 'octocat',
    type: 'User',
  }))

test('the stand-in notices what GitHub would not take', async () => {
  const api = await startGitHubApi()
  const issue = `${api.url}/repos/acme/shop/issues`
  const headers = { authorization: 'token x' }
  try {
    await fetch(`${issue}/7/comments`, {
      method: 'POST',
      body: JSON.stringify({ text: 'x' }),
      headers,
    })
    await fetch(`${issue}/seven/comments?per_page=500&pages=1`, { headers })
    await fetch(`${issue}/7/remarks`, { headers })
    await fetch(`${issue}/7/comments`)
  } finally {
    await api.close()
  }
  for (const what of [
    /required property 'body'/,
    /per_page is over 100/,
    /no query parameter pages/,
    /issue-number.*must be integer/,
    /no such operation/,
    /no token/,
  ]) {
    assert.ok(
      api.offences.some((offence) => what.test(offence)),
      `${String(what)} in ${api.offences.join('; ')}`,
    )
  }
})

describe('the comment of a pull request', () => {
  test('is made when there is none', async () => {
    const { result, api } = await post()
    assert.equal(result.posted, 'created')
    assert.deepEqual(
      api.comments.map(({ body }) => body),
      [`${marker}\n## ✅ pass\n`],
    )
    assert.deepEqual(api.requests, [
      'GET /repos/acme/shop/issues/7/comments',
      'POST /repos/acme/shop/issues/7/comments',
    ])
  })
  test('is the same one the next time, also when it is on the third page', async () => {
    const old: StoredComment = {
      id: 500,
      body: `${marker}\n## ❌ fail`,
      login: 'github-actions[bot]',
      type: 'Bot',
    }
    const { result, api } = await post({ comments: [...chatter(230), old, ...chatter(3)] })
    assert.equal(result.posted, 'updated')
    assert.equal(api.comments.length, 234)
    assert.equal(api.comments[230]?.body, `${marker}\n## ✅ pass\n`)
    assert.equal(api.requests.filter((request) => request.startsWith('GET')).length, 3)
  })
  test('of another label stays as it is', async () => {
    const other: StoredComment = {
      id: 5,
      body: '<!-- holdfast test-migration staging -->\nx',
      login: 'github-actions[bot]',
      type: 'Bot',
    }
    const { result, api } = await post({ comments: [other] })
    assert.equal(result.posted, 'created')
    assert.match(api.comments[0]?.body ?? '', /staging/)
  })
  test('is never somebody else’s, who wrote the marker to have the verdict in their hands', async () => {
    const forged: StoredComment = {
      id: 5,
      body: `${marker}\nforged`,
      login: 'mallory',
      type: 'User',
    }
    const { result, api } = await post({ comments: [forged] })
    assert.equal(result.posted, 'created')
    assert.equal(api.comments[0]?.body, `${marker}\nforged`)
  })
  test('is found again under a person’s own token', async () => {
    const { result, api } = await post({
      user: 'octocat',
      comments: [{ id: 5, body: `${marker}\nold`, login: 'octocat', type: 'User' }],
    })
    assert.equal(result.posted, 'updated')
    assert.equal(api.comments.length, 1)
  })
  test('has no more characters than GitHub takes, and says what was cut', async () => {
    const { api } = await post({}, { report: [list(Array<string>(20_000).fill('line äöü 😀'))] })
    const body = api.comments[0]?.body ?? ''
    assert.ok(body.length <= commentLimit && body.length > commentLimit - 1000)
    assert.match(body, /This report was cut/)
  })
  test('of an issue_comment event goes to its pull request', async () => {
    assert.equal(
      (await post({}, { event: { issue: { number: 7, pull_request: {} } } })).result.posted,
      'created',
    )
  })
})

describe('there is no comment, and no failure either, but a sentence that says why', () => {
  const refused = (result: CommentResult, why: RegExp, broken = false): void => {
    assert.equal(result.posted, 'no')
    if (result.posted !== 'no') return
    assert.match(plainText(result.why), why)
    assert.match(plainText(result.why), / The report is in the job summary\.$/)
    assert.match(plainText(result.why, 'terminal'), / The report is above\.$/)
    assert.equal(result.broken, broken)
  }
  test('for the pull request of a fork, where the token may only read', async () => {
    const { result, api } = await post({ refuseWrites: 403 }, { event: forkPull })
    refused(result, /comes from a fork/)
    assert.equal(api.comments.length, 0)
  })
  test('for a fork that was deleted', async () => {
    refused(
      (
        await post(
          { refuseWrites: 403 },
          { event: { pull_request: { number: 7, head: { repo: null } } } },
        )
      ).result,
      /comes from a fork/,
    )
  })
  test('for a token without the right', async () => {
    refused((await post({ refuseWrites: 403 })).result, /permissions: pull-requests: write/)
    refused((await post({ refuseWrites: 404 })).result, /permissions: pull-requests: write/)
  })
  test('for a token that GitHub does not accept', async () => {
    refused((await post({ broken: 401 })).result, /rejects github-token/, true)
  })
  test('for a server that fails, or is not there', async () => {
    refused((await post({ broken: 500 })).result, /Broken/, true)
    refused(
      await postComment(passed, 'production', 't', envFor(ownPull, 'http://127.0.0.1:9')),
      /^No comment was posted/,
      true,
    )
  })
  test('for a run that is for no pull request, without asking anybody', async () => {
    for (const event of [{}, null, { issue: { number: 7 } }]) {
      const { result, api } = await post({}, { event })
      refused(result, /not for a pull request/)
      assert.deepEqual(api.requests, [])
    }
    refused(await postComment(passed, 'production', 't', {}), /not for a pull request/)
  })
  test('for an event that cannot be read', async () => {
    refused(
      await postComment(passed, 'production', 't', envFor('{')),
      /^No comment was posted/,
      true,
    )
  })
  test('for an empty token', async () => {
    refused(await postComment(passed, 'production', '', envFor(ownPull)), /github-token is empty/)
  })
})
