import type { ErrorEntry } from './entry.ts'

/** What a PostgreSQL server, or the network before it, refuses. */
export const serverErrors = {
  'cannot-connect': {
    message: 'cannot connect to …: ….',
    hint: 'Try the same connection with psql from the same machine.',
  },
  certificate: {
    message: 'the certificate of … is not accepted: ….',
    hint: 'Give the authority that signed it as sslrootcert=FILE, or correct the host name.',
  },
  'connection-lost': { message: 'the connection to … was lost: ….', hint: '…' },
  'data-damaged': {
    message: 'the server at … found damaged data: ….',
    hint: 'The disk, the memory or the file system of the server is at fault; nothing that is read from it now can be called good. Keep all earlier backups, look at the logs of the server and its kernel, and go over to a replica or the newest proven backup.',
  },
  'extension-missing': { message: '… lacks … that the backup needs: ….', hint: '……' },
  'host-unknown': {
    message: 'there is no host named "…" (…).',
    hint: 'Check the name; a private name resolves only on a runner inside that network.',
  },
  'lock-table-full': {
    message: 'the lock table of the server at … is full: ….',
    hint: 'Raise max_locks_per_transaction (it takes a restart), or run it when less else is running; a dump locks every table once.',
  },
  'login-refused': {
    message: 'the server at … refuses "…": ….',
    hint: 'Check that the role exists with LOGIN, and that pg_hba.conf lets it in from here (with or without SSL: sslmode=require).',
  },
  'no-ssl': {
    message: '… does not speak SSL, which sslmode asks for.',
    hint: 'Turn SSL on at the server, or set sslmode=disable inside a network that you trust.',
  },
  'query-cancelled': {
    message: 'the server at … cancelled our query: ….',
    hint: 'Somebody cancelled it (pg_cancel_backend, a console, a job that ends long queries), or a statement_timeout that a pooler sets. Exempt this role from it, and run it again.',
  },
  'row-security': {
    message:
      'Row-level security would hide rows of … from "…": such a backup would lack them in silence.',
    hint: 'Run on the server: ALTER ROLE … BYPASSRLS;',
  },
  'server-out-of-memory': {
    message: 'the server at … has no memory left: ….',
    hint: 'Run it at a quieter time, lower jobs, or give the server more memory; its log says who used it.',
  },
  'starting-up': {
    message: '… is not ready: ….',
    hint: 'Wait until pg_isready says so; for a service container, give it a health check.',
  },
  'table-unreadable': {
    message: '… cannot be read with an empty search_path: ….',
    hint: 'An index, a check or a generated column of it calls a function that names something without its schema; a dump of it would not restore. Mend the function: ALTER FUNCTION … SET search_path = …',
  },
  'temp-file-limit': {
    message: 'the server at … allows no more temporary files: ….',
    hint: 'Raise temp_file_limit for this role: ALTER ROLE … SET temp_file_limit = -1',
  },
  'too-many-connections': {
    message: '… has no free connection: ….',
    hint: 'Try at a quieter time, raise max_connections, or reserve some for this role.',
  },
  'transaction-pooler': {
    message:
      '…: a transaction pooler (such as PgBouncer) stands at …:…; a consistent dump needs one connection kept for the whole time.',
    hint: 'Give the URL of the server itself (most providers name it the direct or session connection, often on port 5432).',
  },
  unreachable: {
    message: 'nothing listens at … (connection refused).',
    hint: 'Check host and port, that the server runs, and that it listens on that address (listen_addresses).',
  },
  'wrong-password': {
    message: 'the server at … does not accept the password of "…".',
    hint: 'Correct the password in the secret; in a URL, percent-encode its special characters (@ is %40, / is %2F, : is %3A).',
  },
} as const satisfies Record<string, ErrorEntry>
