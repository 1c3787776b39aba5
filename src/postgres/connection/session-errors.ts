import { messageOf, UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import type { Connection } from './connection.ts'

/**
 * A standby had to choose between replaying what its primary did and a session of ours, and we
 * lost. Nothing is wrong with the database: with a new snapshot the same work may well go through.
 */
export class StandbyConflict extends Error {
  override name = 'StandbyConflict'
}

/**
 * What the server or the network can do to any session in the middle of its work, as an error that
 * says what to do. Undefined for everything that whoever asked has to judge by itself (rights,
 * locks, names that are gone). The SQLSTATE stays on `cause`.
 */
export function sessionError(
  connection: Connection,
  cause: unknown,
): StandbyConflict | UserError | undefined {
  const { code = '', routine = '' } = cause as { code?: string; routine?: string }
  const text = messageOf(cause)
  // the texts are in the server's language, the routine never is; without it, 40001 is any
  // serialization failure
  const conflict =
    /conflict with recovery/.test(text) ||
    /^(ProcessInterrupts|ProcessRecoveryConflictInterrupt)/.test(routine)
  if (conflict && ['40001', '40P01', '57P04'].includes(code))
    return new StandbyConflict(withDetail(text, cause), { cause })
  return errorOfState(connection, code, text, cause)
}

/**
 * The same from the stderr of a client program (pg_dump, pg_restore), which tells no SQLSTATE: by
 * its words, where the server speaks English.
 */
export function clientError(
  connection: Connection,
  stderr: string,
): StandbyConflict | UserError | undefined {
  if (/conflict with recovery/.test(stderr)) {
    const [, detail] = /^DETAIL: +(.*)$/m.exec(stderr) ?? []
    return new StandbyConflict(
      `canceled due to conflict with recovery${detail ? `: ${detail}` : ''}`,
    )
  }
  const said = /^.*(?:ERROR|FATAL|PANIC|WARNING): +(.*)$/m.exec(stderr)?.[1]
  const [code] = clientWords.find(([, words]) => words.test(stderr)) ?? []
  return code
    ? errorOfState(
        connection,
        code,
        said ?? lastLine(stderr),
        new Error(stderr.trim().slice(-2000)),
      )
    : undefined
}

/**
 * SQLSTATEs by what the server says with them (seen on 15, 17 and 18), and what libpq says when
 * nobody is there any more.
 */
const clientWords: [code: string, words: RegExp][] = [
  ['57P01', /terminating connection due to (administrator|immediate shutdown) command/],
  [
    '57P02',
    /terminating connection because of (a )?(crash|unexpected)|terminating connection due to unexpected postmaster exit/,
  ],
  [
    '57P03',
    /the database system is (starting up|shutting down|in recovery mode|not accepting connections|not yet accepting connections)/,
  ],
  [
    '25P03',
    /terminating connection due to (idle-in-transaction|idle-session|transaction) timeout|terminating connection due to idle/,
  ],
  ['57014', /canceling statement due to user request/],
  [
    'XX001',
    /invalid page in block|page verification failed|could not read blocks? |(missing|unexpected) chunk number|compressed (pglz|lz4) data is corrupt|could not access status of transaction|could not open file "(base|global|pg_tblspc)\//,
  ],
  ['XX002', /index ".*" (contains|is not a|has) |right sibling's left-link/],
  ['53100', /No space left on device/],
  ['53200', /ERROR: +out of memory|out of shared memory/],
  ['53300', /too many clients|remaining connection slots|too many connections/],
  ['53400', /temporary file size exceeds temp_file_limit/],
  [
    '08006',
    /server closed the connection unexpectedly|could not (receive data from|send data to) server|SSL (connection has been closed|error|SYSCALL error)|connection to server was lost/,
  ],
]

function errorOfState(
  connection: Connection,
  code: string,
  text: string,
  cause: unknown,
): UserError | undefined {
  const where = `${connection.host}:${connection.port}`
  const say = (name: ErrorCode, message: string, hint: string): UserError =>
    new UserError(name, `${connection.input}: ${message}`, hint, { cause })
  const lost = (hint: string): UserError =>
    say('connection-lost', `the connection to ${where} was lost: ${text}.`, hint)
  if (['57P01', '57P04'].includes(code))
    return lost(
      'Somebody ended it (pg_terminate_backend), dropped the database, or the server was shut down or failed over: its log says which. Run it again once the server is up.',
    )
  if (code === '57P02')
    return lost(
      'A process of the server crashed, and all connections with it: its log says why (often memory ran out). Run it again once it is up.',
    )
  if (code === '57P03')
    return lost(
      'The server is starting, stopping or recovering: wait until pg_isready says that it accepts connections, and see its log for why.',
    )
  if (['57P05', '25P03', '25P04'].includes(code))
    return lost(
      'The server, or a pooler before it, ends sessions by a timeout that ours have turned off: look for idle_session_timeout and its like there, or give the URL of the server itself.',
    )
  if (
    /^08/.test(code) ||
    broken.has(code) ||
    /^(Connection terminated|Client (has encountered a connection error|was closed))/.test(text)
  )
    return lost(
      'Either the server went down (its log says so; the kernel may have killed it for memory), or a proxy or firewall between ended the connection. Run it again; if it always breaks after the same time, look for a timeout there.',
    )
  if (code === '57014')
    return say(
      'query-cancelled',
      `the server at ${where} cancelled our query: ${text}.`,
      'Somebody cancelled it (pg_cancel_backend, a console, a job that ends long queries), or a statement_timeout that a pooler sets. Exempt this role from it, and run it again.',
    )
  if (
    damaged.has(code) ||
    (code === '58P01' && /"(base|global|pg_tblspc|pg_xact|pg_multixact)\//.test(text))
  )
    return say(
      'data-damaged',
      `the server at ${where} found damaged data: ${text}.`,
      'The disk, the memory or the file system of the server is at fault; nothing that is read from it now can be called good. Keep all earlier backups, look at the logs of the server and its kernel, and go over to a replica or the newest proven backup.',
    )
  if (code === '53100')
    return say(
      'disk-full',
      `the disk of the server at ${where} is full: ${text}.`,
      'Free space there, or give it more (pg_wal and temporary files grow, too), and run it again.',
    )
  if (code === '53400')
    return say(
      'temp-file-limit',
      `the server at ${where} allows no more temporary files: ${text}.`,
      'Raise temp_file_limit for this role: ALTER ROLE … SET temp_file_limit = -1',
    )
  if (code === '53200' && /shared memory/.test(text))
    return say(
      'lock-table-full',
      `the lock table of the server at ${where} is full: ${text}.`,
      'Raise max_locks_per_transaction (it takes a restart), or run it when less else is running; a dump locks every table once.',
    )
  if (code === '53200')
    return say(
      'server-out-of-memory',
      `the server at ${where} has no memory left: ${text}.`,
      'Run it at a quieter time, lower jobs, or give the server more memory; its log says who used it.',
    )
  if (code === '53300')
    return say(
      'too-many-connections',
      `${where} has no free connection: ${text}.`,
      'Try at a quieter time, lower jobs, raise max_connections, or reserve some for this role.',
    )
  return undefined
}

/** What Node says of a socket that broke. */
const broken = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
])
/** io_error, data_corrupted, index_corrupted. */
const damaged = new Set(['58030', 'XX001', 'XX002'])

function withDetail(text: string, cause: unknown): string {
  const { detail } = cause as { detail?: string }
  return detail ? `${text}: ${detail}` : text
}

function lastLine(text: string): string {
  return (
    text
      .trim()
      .split('\n')
      .filter((line) => !/^pg_dump: detail: Command was/.test(line))
      .at(-1)
      ?.trim() ?? ''
  )
}
