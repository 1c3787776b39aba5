import type { Env } from './inputs/input.ts'

/** Where the running version of an action is published, for links into its documentation. */
export interface ActionAddress {
  server: string
  repository: string
  ref: string
}

/** Returns the address of the running action; undefined for a local action (`uses: ./`). */
export function actionAddress(env: Env): ActionAddress | undefined {
  const server = env['GITHUB_SERVER_URL']
  const repository = env['GITHUB_ACTION_REPOSITORY']
  const ref = env['GITHUB_ACTION_REF']
  return server && repository && ref ? { server, repository, ref } : undefined
}
