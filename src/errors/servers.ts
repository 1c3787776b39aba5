import type { ErrorEntry } from './entry.ts'

/** What a PostgreSQL server, or the network in front of it, refuses. */
export const serverErrors = {
  'cannot-connect': {
    message: 'The connection to the server failed for a reason that is not known.',
    hint: 'Try the same connection with psql from the same machine.',
  },
  certificate: {
    message: 'The TLS certificate of the server is not accepted.',
    hint:
      'Correct the host name, or name the authority that signed the certificate in the URL: ' +
      'sslrootcert=FILE',
  },
  'connection-lost': {
    message: 'The connection to the server was lost during the work.',
    hint:
      'The server went down (its log says so; the kernel may have killed it for its memory), or ' +
      'a proxy or firewall ended the connection. Run it again. If it always breaks after the ' +
      'same time, look for a timeout there.',
  },
  'data-damaged': {
    message: 'The server found damaged data in a table or an index.',
    hint:
      'The disk, memory or file system of the server is at fault; do not trust what it returns ' +
      'now. Keep all earlier backups, read the logs of the server and its kernel, and switch to ' +
      'a replica or restore the newest proven backup.',
  },
  'extension-missing': {
    message: 'The server lacks an extension that the backup needs.',
    hint: 'Install the extension’s package on that server, or use a server that has it.',
  },
  'host-unknown': {
    message: 'The host name of the server does not resolve.',
    hint: 'Check the name. A private name resolves only on a runner inside that network.',
  },
  'lock-table-full': {
    message: 'The lock table of the server is full.',
    hint:
      'Raise max_locks_per_transaction (needs a restart), or run it when fewer transactions run. ' +
      'A dump locks every table once.',
  },
  'login-refused': {
    message: 'The server does not let this role log in, or connect to this database.',
    hint:
      'Check that the role exists with LOGIN, and that pg_hba.conf allows it from this address, ' +
      'with or without SSL (sslmode=require).',
  },
  'no-ssl': {
    message: 'The server does not support SSL, but sslmode requires it.',
    hint: 'Turn SSL on at the server. Inside a network that you trust, set sslmode=disable.',
  },
  'password-missing': {
    message: 'The server asks for a password, and none was given.',
    hint:
      'Put the password into the URL, or give it in PGPASSWORD or in a password file (~/.pgpass). ' +
      'In a URL, percent-encode its special characters (@ is %40, / is %2F, : is %3A).',
  },
  'query-cancelled': {
    message: 'The server cancelled a query of this run.',
    hint:
      'Someone cancelled it (pg_cancel_backend, a console, a job that ends long queries), or a ' +
      'pooler sets a statement_timeout. Exempt this role, and run it again.',
  },
  'row-security': {
    message: 'Row-level security hides rows from this role, so a backup would lack them.',
    hint: 'Give the role BYPASSRLS (ALTER ROLE … BYPASSRLS), or use the owner of the tables.',
  },
  'server-out-of-memory': {
    message: 'The server ran out of memory.',
    hint: 'Run it at a quieter time, or give the server more memory. Its log shows what used it.',
  },
  'server-too-old': {
    message: 'The server is older than PostgreSQL 15, the oldest supported major version.',
    hint: 'Upgrade the server. PostgreSQL 14 and older get no security updates any more.',
  },
  'starting-up': {
    message: 'The server does not accept connections yet.',
    hint: 'Wait until pg_isready succeeds. Give a service container a health check.',
  },
  'table-unreadable': {
    message: 'A table cannot be read with an empty search_path, so its dump would not restore.',
    hint:
      'An index, check or generated column of the table calls a function that names something ' +
      'without its schema. Fix the function: ALTER FUNCTION … SET search_path = …',
  },
  'temp-file-limit': {
    message: 'The server allows no more temporary files for this role.',
    hint: 'Raise temp_file_limit for this role: ALTER ROLE … SET temp_file_limit = -1',
  },
  'too-many-connections': {
    message: 'The server has no free connection for this role.',
    hint: 'Run it at a quieter time, raise max_connections, or reserve connections for this role.',
  },
  'transaction-pooler': {
    message: 'The URL leads to a transaction pooler, but a consistent dump needs one connection.',
    hint:
      'Use the URL of the server itself. Most providers call it the direct or session ' +
      'connection, often on port 5432.',
  },
  unreachable: {
    message: 'The server cannot be reached.',
    hint:
      'Check host and port, that the server runs, and that it listens on that address ' +
      '(listen_addresses).',
  },
  'wrong-password': {
    message: 'The server does not accept the password of the role.',
    hint:
      'Correct the password in the secret. In a URL, percent-encode its special characters ' +
      '(@ is %40, / is %2F, : is %3A).',
  },
} as const satisfies Record<string, ErrorEntry>
