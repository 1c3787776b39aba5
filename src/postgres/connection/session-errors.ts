import { messageOf, UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { input, text, type Text } from '../../text.ts'
import type { Connection } from './connection.ts'

/**
 * A standby cancelled a session of this process to replay what its primary did. Nothing is wrong
 * with the database: the same work on a new snapshot can succeed.
 */
export class StandbyConflict extends Error {
  override name = 'StandbyConflict'
}

interface Failure {
  name: ErrorCode
  /** What happened, without the server's own words. */
  message: (where: string) => string
  /** Left out where the catalogue's hint is as exact. */
  hint?: Text
}

const lost = (hint?: Text): Failure => ({
  name: 'connection-lost',
  message: (where) => `the connection to ${where} was lost`,
  ...(hint === undefined ? {} : { hint }),
})
const ended = lost(
  'Someone ended it (pg_terminate_backend), dropped the database, or the server was shut down ' +
    'or failed over. The server log says which. Run it again when the server is up.',
)
const timedOut = lost(
  'The server, or a pooler in front of it, ends sessions by a timeout that this session turned ' +
    'off. Look there for idle_session_timeout and similar settings, or use the URL of the server ' +
    'itself.',
)
const broken = lost()
const damaged: Failure = {
  name: 'data-damaged',
  message: (where) => `the server at ${where} found damaged data`,
}
const noLocksLeft: Failure = {
  name: 'lock-table-full',
  message: (where) => `the lock table of the server at ${where} is full`,
}

/** Failures by SQLSTATE, or by Node's code for a socket's error. */
const failures: Record<string, Failure> = {
  '57P01': ended,
  '57P04': ended,
  '57P02': lost(
    'A server process crashed, and the server ended all connections: its log says why. Often ' +
      'memory ran out. Run it again when the server is up.',
  ),
  '57P03': lost(
    'The server is starting, stopping or recovering; its log says why. Wait until pg_isready ' +
      'reports that it accepts connections.',
  ),
  '57P05': timedOut,
  '25P03': timedOut,
  '25P04': timedOut,
  ECONNRESET: broken,
  ECONNABORTED: broken,
  EPIPE: broken,
  ETIMEDOUT: broken,
  EHOSTUNREACH: broken,
  ENETUNREACH: broken,
  ENETDOWN: broken,
  '57014': {
    name: 'query-cancelled',
    message: (where) => `the server at ${where} cancelled a query of this run`,
  },
  // io_error, data_corrupted, index_corrupted
  '58030': damaged,
  XX001: damaged,
  XX002: damaged,
  '53100': {
    name: 'disk-full',
    message: (where) => `the disk of the server at ${where} is full`,
    hint:
      'Free space there or enlarge the disk, and run it again. pg_wal and temporary files need ' +
      'space, too.',
  },
  '53200': {
    name: 'server-out-of-memory',
    message: (where) => `the server at ${where} is out of memory`,
    hint: text`Run it at a quieter time, lower ${input('jobs')}, or give the server more memory.`,
  },
  '53300': {
    name: 'too-many-connections',
    message: (where) => `${where} has no free connection`,
    hint: text`Run it at a quieter time, lower ${input('jobs')}, or raise max_connections.`,
  },
  '53400': {
    name: 'temp-file-limit',
    message: (where) => `the server at ${where} allows no more temporary files`,
  },
}

/** What the driver says on a connection that is gone. */
const driverLost = /^(Connection terminated|Client (has encountered a connection error|was closed))/

/** Returns the failure that a code and the words with it stand for; undefined for all others. */
function failureOf(code: string, words: string): Failure | undefined {
  // out_of_memory covers both the server's memory and its lock table
  if (code === '53200' && /shared memory/.test(words)) return noLocksLeft
  if (Object.hasOwn(failures, code)) return failures[code]
  if (code.startsWith('08') || driverLost.test(words)) return broken
  const dataFile = /"(base|global|pg_tblspc|pg_xact|pg_multixact)\//
  return code === '58P01' && dataFile.test(words) ? damaged : undefined
}

function errorOfFailure(
  connection: Connection,
  code: string,
  words: string,
  cause: unknown,
): UserError | undefined {
  const failure = failureOf(code, words)
  if (!failure) return undefined
  const happened = failure.message(`${connection.host}:${connection.port}`)
  return new UserError(failure.name, `${connection.input}: ${happened}: ${words}.`, failure.hint, {
    cause,
  })
}

/**
 * Returns the error for what the server or the network can do to any session in the middle of its
 * work, with the driver's error as its cause. Undefined for errors that the caller must judge by
 * itself, such as missing rights, locks, and names that no longer exist.
 */
export function sessionError(
  connection: Connection,
  cause: unknown,
): StandbyConflict | UserError | undefined {
  const { code = '', routine = '' } = cause as { code?: string; routine?: string }
  const words = messageOf(cause)
  // The text is in the server's language; the routine never is. Without these, 40001 is any
  // serialization failure.
  const conflict =
    /conflict with recovery/.test(words) ||
    /^(ProcessInterrupts|ProcessRecoveryConflictInterrupt)/.test(routine)
  if (conflict && ['40001', '40P01', '57P04'].includes(code))
    return new StandbyConflict(withDetail(words, cause), { cause })
  return errorOfFailure(connection, code, words, cause)
}

/**
 * Returns the same error from the stderr of a client program (pg_dump, pg_restore). These programs
 * print no SQLSTATE, so their words decide; the server must send its messages in English.
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
  const [code] = statesByWords.find(([, words]) => words.test(stderr)) ?? []
  if (code === undefined) return undefined
  const said = /^.*(?:ERROR|FATAL|PANIC|WARNING): +(.*)$/m.exec(stderr)?.[1] ?? lastLine(stderr)
  return errorOfFailure(connection, code, said, new Error(stderr.trim().slice(-2000)))
}

/**
 * SQLSTATEs by the server's words (seen on 15, 17 and 18), and by libpq's words when the connection
 * is gone.
 */
const statesByWords: [code: string, words: RegExp][] = [
  ['57P01', /terminating connection due to (administrator|immediate shutdown) command/],
  ['57P02', /terminating connection because of (a )?(crash|unexpected)/],
  ['57P02', /terminating connection due to unexpected postmaster exit/],
  ['57P03', /the database system is (starting up|shutting down|in recovery mode)/],
  ['57P03', /the database system is not (yet )?accepting connections/],
  ['25P03', /terminating connection due to (idle-in-transaction|transaction) timeout/],
  ['25P03', /terminating connection due to idle/],
  ['57014', /canceling statement due to user request/],
  ['XX001', /invalid page in block|page verification failed|could not read blocks? /],
  ['XX001', /(missing|unexpected) chunk number|compressed (pglz|lz4) data is corrupt/],
  ['XX001', /could not access status of transaction/],
  ['XX001', /could not open file "(base|global|pg_tblspc)\//],
  ['XX002', /index ".*" (contains|is not a|has) |right sibling's left-link/],
  ['53100', /No space left on device/],
  ['53200', /ERROR: +out of memory|out of shared memory/],
  ['53300', /too many clients|remaining connection slots|too many connections/],
  ['53400', /temporary file size exceeds temp_file_limit/],
  ['08006', /server closed the connection unexpectedly|connection to server was lost/],
  ['08006', /could not (receive data from|send data to) server/],
  ['08006', /SSL (connection has been closed|error|SYSCALL error)/],
]

function withDetail(words: string, cause: unknown): string {
  const { detail } = cause as { detail?: string }
  return detail ? `${words}: ${detail}` : words
}

function lastLine(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return lines.findLast((line) => !/^pg_dump: detail: Command was/.test(line))?.trim() ?? ''
}
