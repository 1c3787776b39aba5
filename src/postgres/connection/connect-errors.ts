import { messageOf, UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { sqlIdentifier } from '../../escape.ts'
import { either, input, type Text, text } from '../../text.ts'
import { type Connection, describeConnection } from './connection.ts'

/** What is known about a refused connection. */
interface Attempt {
  connection: Connection
  /** `host:port`. */
  where: string
  /** The SQLSTATE or Node's code; empty if there is none. */
  code: string
  /** What the server, the driver or the socket said. */
  text: string
}

interface Refusal {
  name: ErrorCode
  message: (attempt: Attempt) => string
  /** Left out where the catalogue's hint is as exact. */
  hint?: (attempt: Attempt) => Text
}

const hostUnknown: Refusal = {
  name: 'host-unknown',
  message: ({ connection, code }) => `there is no host named "${connection.host}" (${code}).`,
}
const nothingListens: Refusal = {
  name: 'unreachable',
  message: ({ where }) => `nothing listens at ${where} (connection refused).`,
}
const noWayThere: Refusal = {
  name: 'unreachable',
  message: ({ where, text }) => `${where} cannot be reached: ${text}.`,
  hint: () =>
    'A firewall or an allow-list probably blocks this runner. ' +
    'Let the runner in, or use a runner inside that network.',
}
const wrongPassword: Refusal = {
  name: 'wrong-password',
  message: ({ connection, where }) =>
    `the server at ${where} does not accept the password of "${connection.user}".`,
}
const passwordMissing: Refusal = {
  name: 'password-missing',
  message: ({ connection, where }) =>
    `the server at ${where} asks for the password of "${connection.user}", and none was given.`,
  hint: ({ connection: { input: name } }) =>
    text`${either(
      'Write the URL with its password into a secret:',
      'Set PGPASSWORD, add a line to ~/.pgpass, or write the URL with its password into a file:',
    )} ${input(name, { secret: name.toUpperCase().replaceAll('-', '_') })}`,
}

/** Refusals by SQLSTATE, or by Node's code for a socket's error. */
const refusals: Record<string, Refusal> = {
  ENOTFOUND: hostUnknown,
  EAI_AGAIN: hostUnknown,
  ECONNREFUSED: nothingListens,
  ENOENT: nothingListens,
  ETIMEDOUT: noWayThere,
  EHOSTUNREACH: noWayThere,
  ENETUNREACH: noWayThere,
  ECONNRESET: noWayThere,
  '28P01': wrongPassword,
  '28000': {
    name: 'login-refused',
    message: ({ connection, where, text }) =>
      `the server at ${where} refuses "${connection.user}": ${text}.`,
  },
  '3D000': {
    name: 'database-missing',
    message: ({ connection, where }) =>
      `there is no database "${connection.database}" on ${where}.`,
    hint: () => 'Check the name after the last slash of the URL. List all databases with: psql -l',
  },
  '42501': {
    name: 'login-refused',
    message: ({ connection: { user, database } }) => `"${user}" may not connect to "${database}".`,
    hint: ({ connection: { user, database } }) =>
      `Run on the server: GRANT CONNECT ON DATABASE ${sqlIdentifier(database)} TO ${sqlIdentifier(user)};`,
  },
  '53300': {
    name: 'too-many-connections',
    message: ({ where, text }) => `${where} has no free connection: ${text}.`,
  },
  '57P03': {
    name: 'starting-up',
    message: ({ where, text }) => `${where} is not ready: ${text}.`,
  },
}

/** Refusals without a code of their own, by what the driver or OpenSSL says. */
const refusalsByText: [words: RegExp, refusal: Refusal][] = [
  [/timeout expired|terminated unexpectedly/, noWayThere],
  [/SASL|password must be a string/, wrongPassword],
  [
    /does not support SSL/,
    {
      name: 'no-ssl',
      message: ({ where }) => `${where} does not speak SSL, but sslmode requires it.`,
    },
  ],
  [
    /certificate|self.signed|altnames|SSL|TLS/i,
    {
      name: 'certificate',
      message: ({ where, text }) => `the certificate of ${where} is not accepted: ${text}.`,
    },
  ],
]

const anyOther: Refusal = {
  name: 'cannot-connect',
  message: ({ connection, code, text }) =>
    `cannot connect to ${describeConnection(connection)}: ${text || code}.`,
}

/** Returns the error for a connection that failed with `cause`: what happened, and what to do. */
export function connectError(connection: Connection, cause: unknown): UserError {
  const { code = '' } = cause as { code?: string }
  const said = messageOf(cause) || messageOf((cause as AggregateError).errors?.[0])
  const known =
    (Object.hasOwn(refusals, code) ? refusals[code] : undefined) ??
    refusalsByText.find(([words]) => words.test(said + code))?.[1] ??
    anyOther
  const refusal =
    known === wrongPassword && connection.password === undefined ? passwordMissing : known
  const where = `${connection.host}:${connection.port}`
  const attempt: Attempt = { connection, where, code, text: said }
  return new UserError(
    refusal.name,
    [{ kind: 'input', input: connection.input }, `: ${refusal.message(attempt)}`],
    refusal.hint?.(attempt),
    { cause },
  )
}
