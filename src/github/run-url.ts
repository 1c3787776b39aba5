import type { Env } from './inputs/input.ts'

/** Returns the URL of this workflow run; undefined outside of a runner. */
export function runUrl(env: Env): string | undefined {
  const {
    GITHUB_SERVER_URL: server,
    GITHUB_REPOSITORY: repository,
    GITHUB_RUN_ID: run,
    GITHUB_RUN_ATTEMPT: attempt,
  } = env
  if (!server || !repository || !run) return undefined
  return `${server}/${repository}/actions/runs/${run}${attempt ? `/attempts/${attempt}` : ''}`
}
