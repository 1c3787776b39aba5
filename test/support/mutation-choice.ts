import { newestServer, type Server } from './servers.ts'

/**
 * All mutations on the newest major; on the others an eighth of them, and all that are of some
 * majors only: most are about this project's own code, which is the same on each, and every one is
 * a database or a whole verification. HOLDFAST_TEST_ALL_MUTATIONS=1 takes all everywhere.
 */
export function chosen<M extends { from?: number; until?: number }>(
  all: [string, M][],
  server: Server,
): [string, M][] {
  if (server.major === newestServer().major || process.env.HOLDFAST_TEST_ALL_MUTATIONS) return all
  const some = all.filter(
    ([, { from, until }], i) =>
      from !== undefined || until !== undefined || i % 8 === server.major % 8,
  )
  console.log(
    `PostgreSQL ${server.major}: ${some.length} of ${all.length} mutations here; ` +
      `all of them on PostgreSQL ${newestServer().major}, or with HOLDFAST_TEST_ALL_MUTATIONS=1`,
  )
  return some
}
