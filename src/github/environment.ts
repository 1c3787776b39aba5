import type { Env } from './inputs/input.ts'

/**
 * The variables that PostgreSQL's programs inherit. The connection and its password are passed
 * separately.
 */
const programVariables = nameOf(
  'PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH',
  'SSL_CERT_FILE|SSL_CERT_DIR|OPENSSL_CONF|KRB5\\w*|PGPASSFILE|PGSYSCONFDIR',
)

/**
 * Variables that would let a command write our outputs and summary, act as this job, reach the
 * backups, or read our inputs, which include the private key. Upper or lower case.
 */
const withheldVariables = nameOf(
  'INPUT_.*|STATE_.*|DATABASE_URL|ACTIONS_RUNTIME_TOKEN|ACTIONS_ID_TOKEN_REQUEST_(TOKEN|URL)',
  'AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|WEB_IDENTITY_TOKEN_FILE)',
  'GITHUB_(OUTPUT|STATE|ENV|PATH|STEP_SUMMARY)',
)

/** libpq's variables (PostgreSQL documentation, libpq, "Environment Variables"). */
const libpqVariables = nameOf(
  'PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|OPTIONS|APPNAME)',
  'PG(REQUIREAUTH|CHANNELBINDING|SSL\\w*|REQUIRESSL|REQUIREPEER|KRBSRVNAME|GSS\\w*|OAUTH\\w*)',
  'PG(CONNECT_TIMEOUT|CLIENTENCODING|TARGETSESSIONATTRS|LOADBALANCEHOSTS|DATESTYLE|TZ|GEQO)',
  'PG(MINPROTOCOLVERSION|MAXPROTOCOLVERSION)',
)

/** Returns the environment that every PostgreSQL program starts with. */
export function childEnvironment(env: Env): Record<string, string> {
  // LC_ALL: their messages are parsed in English
  return {
    ...filterEnvironment(env, (name) => programVariables.test(name) && name !== 'LANGUAGE'),
    LC_ALL: 'C',
  }
}

/**
 * Returns the environment that the user's commands start with: the step's own, without our inputs
 * and tokens, and without variables that name another database.
 */
export function migrationEnvironment(env: Env): Record<string, string> {
  return filterEnvironment(
    env,
    (name) => !withheldVariables.test(name.toUpperCase()) && !libpqVariables.test(name),
  )
}

function filterEnvironment(env: Env, isWanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && isWanted(name) ? [[name, value]] : [],
    ),
  )
}

function nameOf(...patterns: readonly string[]): RegExp {
  return new RegExp(`^(${patterns.join('|')})$`)
}
