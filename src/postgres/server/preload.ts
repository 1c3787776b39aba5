import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Returns the settings a scratch cluster needs for extensions that must be loaded when it starts.
 * `directory` has the server's programs; `database` will hold the extensions. Leaves out a library
 * that is not on this machine: a later check reports its extension as missing.
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

/** Further settings by extension; the library has the same name. */
const preloaded: Record<string, (database: string) => Record<string, string>> = {
  pgaudit: () => ({}),
  // its table of jobs can be in one database only; a copy never runs its jobs
  pg_cron: (database) => ({ 'cron.database_name': database, 'cron.launch_active_jobs': 'off' }),
}

/**
 * Whether a package put the library next to the programs: Debian's and PGDG's packages use `lib`,
 * others a folder below it.
 */
function hasLibrary(directory: string, name: string): boolean {
  return ['lib', 'lib/postgresql', 'lib64', 'lib64/pgsql'].some((folder) =>
    existsSync(join(directory, '..', folder, `${name}.so`)),
  )
}
