import { UserError } from '../../errors.ts'
import { text, type Text } from '../../text.ts'
import type { Session } from '../connection/session.ts'

/**
 * The package of each extension on Debian, Ubuntu and apt.postgresql.org (PGDG), with `$` for the
 * server's major version. PGDG's RPMs have similar names (`pgvector_17`); vendors' images have them
 * built in.
 */
const packages: Record<string, string> = {
  age: 'postgresql-$-age',
  hll: 'postgresql-$-hll',
  hypopg: 'postgresql-$-hypopg',
  ip4r: 'postgresql-$-ip4r',
  orafce: 'postgresql-$-orafce',
  pg_cron: 'postgresql-$-cron',
  pg_hint_plan: 'postgresql-$-pg-hint-plan',
  pg_ivm: 'postgresql-$-pg-ivm',
  pg_partman: 'postgresql-$-partman',
  pg_qualstats: 'postgresql-$-pg-qualstats',
  pg_repack: 'postgresql-$-repack',
  pg_similarity: 'postgresql-$-similarity',
  pg_squeeze: 'postgresql-$-squeeze',
  pg_stat_kcache: 'postgresql-$-pg-stat-kcache',
  pg_wait_sampling: 'postgresql-$-pg-wait-sampling',
  pgaudit: 'postgresql-$-pgaudit',
  pglogical: 'postgresql-$-pglogical',
  pgmp: 'postgresql-$-pgmp',
  pgpcre: 'postgresql-$-pgpcre',
  pgq: 'postgresql-$-pgq3',
  pgrouting: 'postgresql-$-pgrouting',
  pgtap: 'postgresql-$-pgtap',
  plpgsql_check: 'postgresql-$-plpgsql-check',
  plr: 'postgresql-$-plr',
  prefix: 'postgresql-$-prefix',
  rum: 'postgresql-$-rum',
  semver: 'postgresql-$-semver',
  set_user: 'postgresql-$-set-user',
  tds_fdw: 'postgresql-$-tds-fdw',
  mysql_fdw: 'postgresql-$-mysql-fdw',
  oracle_fdw: 'postgresql-$-oracle-fdw',
  ogr_fdw: 'postgresql-$-ogr-fdw',
  temporal_tables: 'postgresql-$-temporal-tables',
  timescaledb: 'timescaledb-2-postgresql-$',
  unit: 'postgresql-$-unit',
  vector: 'postgresql-$-pgvector',
  // PostGIS and its parts
  address_standardizer: 'postgresql-$-postgis-3',
  address_standardizer_data_us: 'postgresql-$-postgis-3',
  postgis: 'postgresql-$-postgis-3',
  postgis_raster: 'postgresql-$-postgis-3',
  postgis_sfcgal: 'postgresql-$-postgis-3',
  postgis_tiger_geocoder: 'postgresql-$-postgis-3',
  postgis_topology: 'postgresql-$-postgis-3',
  // languages in PostgreSQL's own source
  bool_plperl: 'postgresql-plperl-$',
  bool_plperlu: 'postgresql-plperl-$',
  hstore_plperl: 'postgresql-plperl-$',
  hstore_plpython3u: 'postgresql-plpython3-$',
  jsonb_plperl: 'postgresql-plperl-$',
  jsonb_plpython3u: 'postgresql-plpython3-$',
  ltree_plpython3u: 'postgresql-plpython3-$',
  plperl: 'postgresql-plperl-$',
  plperlu: 'postgresql-plperl-$',
  plpython3u: 'postgresql-plpython3-$',
  pltcl: 'postgresql-pltcl-$',
  pltclu: 'postgresql-pltcl-$',
  plv8: 'postgresql-$-plv8',
}

/**
 * PostgreSQL's own extensions (`contrib`). On Debian they come with the server; RPMs and Alpine have
 * a separate package.
 */
const contrib = new Set([
  'adminpack',
  'amcheck',
  'autoinc',
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dblink',
  'dict_int',
  'dict_xsyn',
  'earthdistance',
  'file_fdw',
  'fuzzystrmatch',
  'hstore',
  'insert_username',
  'intagg',
  'intarray',
  'isn',
  'lo',
  'ltree',
  'moddatetime',
  'old_snapshot',
  'pageinspect',
  'pg_buffercache',
  'pg_freespacemap',
  'pg_logicalinspect',
  'pg_prewarm',
  'pg_stat_statements',
  'pg_surgery',
  'pg_trgm',
  'pg_visibility',
  'pg_walinspect',
  'pgcrypto',
  'pgrowlocks',
  'pgstattuple',
  'postgres_fdw',
  'refint',
  'seg',
  'sslinfo',
  'tablefunc',
  'tcn',
  'tsm_system_rows',
  'tsm_system_time',
  'unaccent',
  'uuid-ossp',
  'xml2',
])

/**
 * Returns the package that has an extension; undefined for unknown extensions. `major` is the
 * version of the server that lacks it, undefined if unknown.
 */
export function packageOf(extension: string, major: number | undefined): string | undefined {
  const version = major === undefined ? '<major>' : String(major)
  if (contrib.has(extension)) return `postgresql-${version}`
  return Object.hasOwn(packages, extension) ? packages[extension]?.replace('$', version) : undefined
}

/** Returns how to install extensions on the server that lacks them: one or two sentences. */
export function howToInstall(extensions: readonly string[], major: number | undefined): string {
  const known = [...new Set(extensions.flatMap((name) => packageOf(name, major) ?? []))].sort()
  const unknown = extensions.filter((name) => packageOf(name, major) === undefined)
  const contribNote = extensions.some((name) => contrib.has(name))
    ? ' (on other systems: postgresql-contrib)'
    : ''
  const searches = unknown.map((name) => `apt-cache search postgresql | grep ${name}`).join(' ; ')
  return [
    ...(known.length
      ? [
          'Install on that server (Debian and Ubuntu, from apt.postgresql.org): ' +
            `sudo apt-get install -y ${known.join(' ')}${contribNote}.`,
        ]
      : []),
    ...(unknown.length
      ? [
          `Find the package that has ${unknown.join(', ')} (on Debian and Ubuntu: ${searches}), ` +
            'and install it on that server.',
        ]
      : []),
  ].join(' ')
}

/** Returns those of these extensions that the server cannot create, in order. */
export async function lackingExtensions(
  session: Session,
  names: readonly string[],
): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT name FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name
     WHERE name NOT IN (SELECT a.name FROM pg_catalog.pg_available_extensions a) ORDER BY 1`,
    [names],
  )
  return rows.map(({ name }) => name)
}

/**
 * Returns the error for a server that lacks extensions that the backup needs. `server` begins the
 * sentence, for example `The target server`; `more` follows the hint.
 */
export function extensionMissing(
  server: string,
  lacking: readonly string[],
  major: number | undefined,
  more: Text = '',
): UserError {
  const noun = lacking.length === 1 ? 'an extension' : 'extensions'
  return new UserError(
    'extension-missing',
    `${server} lacks ${noun} that the backup needs: ${lacking.join(', ')}.`,
    text`${howToInstall(lacking, major)}${more}`,
  )
}
