import type { Env } from './inputs/input.ts'

/**
 * What PostgreSQL's programs need of ours; where to connect to and with which password they are
 * told by us.
 */
const forPrograms =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_FILE|SSL_CERT_DIR|OPENSSL_CONF|KRB5\w*|PGPASSFILE|PGSYSCONFDIR)$/

/**
 * By which a command could write our outputs and summary, act as this job, reach the backups, or
 * read our inputs (the key among them).
 */
const notForMigrations =
  /^(INPUT_.*|STATE_.*|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|WEB_IDENTITY_TOKEN_FILE)|ACTIONS_RUNTIME_TOKEN|ACTIONS_ID_TOKEN_REQUEST_(TOKEN|URL)|GITHUB_(OUTPUT|STATE|ENV|PATH|STEP_SUMMARY)|DATABASE_URL)$/i
/** libpq's variables (PostgreSQL's documentation, "Environment Variables" of libpq). */
const libpq =
  /^PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|OPTIONS|APPNAME|REQUIREAUTH|CHANNELBINDING|SSL\w*|REQUIRESSL|REQUIREPEER|KRBSRVNAME|GSS\w*|CONNECT_TIMEOUT|CLIENTENCODING|TARGETSESSIONATTRS|LOADBALANCEHOSTS|DATESTYLE|TZ|GEQO|MINPROTOCOLVERSION|MAXPROTOCOLVERSION|OAUTH\w*)$/

/** What every child's environment starts from. */
export function childEnvironment(env: Env): Record<string, string> {
  // what these programs say is read by us, in English
  return { ...kept(env, (name) => forPrograms.test(name) && name !== 'LANGUAGE'), LC_ALL: 'C' }
}

/**
 * What a migrate command's environment starts from: the step's own, without our inputs, our tokens,
 * and a way to another database.
 */
export function migrationEnvironment(env: Env): Record<string, string> {
  return kept(env, (name) => !notForMigrations.test(name) && !libpq.test(name))
}

function kept(env: Env, wanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && wanted(name) ? [[name, value]] : [],
    ),
  )
}
