import { messageOf, UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { type Connection, describeConnection } from './connection.ts'

/** Why a connection was refused, and what to do about it. */
export function connectError(connection: Connection, cause: unknown): UserError {
  const { code = '' } = cause as { code?: string }
  const text = messageOf(cause) || messageOf((cause as AggregateError).errors?.[0])
  const where = `${connection.host}:${connection.port}`
  const say = (name: ErrorCode, message: string, hint: string): UserError =>
    new UserError(name, `${connection.input}: ${message}`, hint, { cause })
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return say(
      'host-unknown',
      `there is no host named "${connection.host}" (${code}).`,
      'Check the name; a private name resolves only on a runner inside that network.',
    )
  if (code === 'ECONNREFUSED' || code === 'ENOENT')
    return say(
      'unreachable',
      `nothing listens at ${where} (connection refused).`,
      'Check host and port, that the server runs, and that it listens on that address (listen_addresses).',
    )
  if (
    ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET'].includes(code) ||
    /timeout expired|terminated unexpectedly/.test(text)
  )
    return say(
      'unreachable',
      `${where} cannot be reached: ${text}.`,
      'A firewall or an allow-list usually stands between: let this runner in, or use a runner inside that network.',
    )
  if (code === '28P01' || /SASL|password must be a string/.test(text))
    return say(
      'wrong-password',
      `the server at ${where} does not accept the password of "${connection.user}".`,
      'Correct the password in the secret; in a URL, percent-encode its special characters (@ is %40, / is %2F, : is %3A).',
    )
  if (code === '28000')
    return say(
      'login-refused',
      `the server at ${where} refuses "${connection.user}": ${text}.`,
      'Check that the role exists with LOGIN, and that pg_hba.conf lets it in from here (with or without SSL: sslmode=require).',
    )
  if (code === '3D000')
    return say(
      'database-missing',
      `there is no database "${connection.database}" on ${where}.`,
      'Check the name after the last slash of the URL; list them with: psql -l',
    )
  if (code === '42501')
    return say(
      'login-refused',
      `"${connection.user}" may not connect to "${connection.database}".`,
      `Run on the server: GRANT CONNECT ON DATABASE "${connection.database}" TO "${connection.user}";`,
    )
  if (code === '53300')
    return say(
      'too-many-connections',
      `${where} has no free connection: ${text}.`,
      'Try at a quieter time, raise max_connections, or reserve some for this role.',
    )
  if (code === '57P03')
    return say(
      'starting-up',
      `${where} is not ready: ${text}.`,
      'Wait until pg_isready says so; for a service container, give it a health check.',
    )
  if (/does not support SSL/.test(text))
    return say(
      'no-ssl',
      `${where} does not speak SSL, which sslmode asks for.`,
      'Turn SSL on at the server, or set sslmode=disable inside a network that you trust.',
    )
  if (/certificate|self.signed|altnames|SSL|TLS/i.test(text + code))
    return say(
      'certificate',
      `the certificate of ${where} is not accepted: ${text}.`,
      'Give the authority that signed it as sslrootcert=FILE, or correct the host name.',
    )
  return say(
    'cannot-connect',
    `cannot connect to ${describeConnection(connection)}: ${text || code}.`,
    'Try the same connection with psql from the same machine.',
  )
}
