import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Settings with which a cluster of our own takes extensions that insist on being loaded at its
 * start. `database` is the one that will hold them. A library that is not on this machine is left
 * out: that its extension is missing is found, and said, later.
 */
export function preloadSettings(
  directory: string,
  extensions: readonly string[],
  database: string,
): Record<string, string> {
  const wanted = Object.keys(preloaded).filter(
    (name) => extensions.includes(name) && hasLibrary(directory, name),
  )
  if (wanted.length === 0) return {}
  return Object.assign(
    { shared_preload_libraries: wanted.join(', ') },
    ...wanted.map((name) => preloaded[name]?.(database) ?? {}),
  ) as Record<string, string>
}

/** By the extension's name, which is the library's too: what else it wants to be told. */
const preloaded: Record<string, (database: string) => Record<string, string>> = {
  pgaudit: () => ({}),
  // its table of jobs can be in one database only; and no job of a copy is ever run
  pg_cron: (database) => ({ 'cron.database_name': database, 'cron.launch_active_jobs': 'off' }),
}

/**
 * Where packages put libraries: Debian's and PGDG's beside the programs, in `lib`; others below
 * that.
 */
function hasLibrary(directory: string, name: string): boolean {
  return ['lib', 'lib/postgresql', 'lib64', 'lib64/pgsql'].some((folder) =>
    existsSync(join(directory, '..', folder, `${name}.so`)),
  )
}
