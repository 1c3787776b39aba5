/**
 * The contestants: each is a shell command that uses the variables that `contest.ts` sets, or one
 * of the Holdfast actions. To add a contestant, add an entry.
 */
import type { Outcome } from './results.ts'

export interface Contestant extends Pick<Outcome, 'name' | 'title' | 'kind' | 'note'> {
  /** Programs that must be on PATH, as well as PostgreSQL's. */
  needs?: string[]
  /** A script that runs before each run, not timed. */
  before?: string
  /** A bash script, run with `set -euo pipefail`. */
  script?: string
  /** A Holdfast action with inputs; `$NAME` stands for the same variables as in scripts. */
  action?: { name: 'backup' | 'verify' | 'restore'; inputs: Record<string, string> }
  /** Where the backup is: the S3 server or a folder; undefined: nothing is stored. */
  stores?: 's3' | 'folder'
  /** For a restore: the contestant whose backup it reads. */
  from?: string
}

/** How to install each program that is missing. */
export const howToGet: Record<string, string> = {
  age: 'apt-get install age',
  rclone: 'apt-get install rclone',
  restic: 'apt-get install restic',
  pgcopydb: 'apt-get install pgcopydb',
  pgbackrest: 'apt-get install pgbackrest',
  zstd: 'apt-get install zstd',
}

const encrypted = { label: 'shop', 'encrypt-to': '$RECIPIENT', 'database-url': '$DATABASE_URL' }
const opened = { label: 'shop', storage: '$S3_URL', 'decrypt-with': '$IDENTITY' }
const upload = 'rclone rcat --s3-chunk-size 16M "store:$STORE/$FILE"'
const download = 'rclone cat "store:$STORE/$FILE"'
const bare = (to: string): string => `pg_dump -Fd -j "$JOBS" --compress=zstd:1 -f "${to}"`
const openssl = 'openssl enc -aes-256-cbc -pbkdf2 -pass env:PASSPHRASE'
const psql = 'psql -X -q -o /dev/null -v ON_ERROR_STOP=1'

const ours: Contestant[] = [
  {
    name: 'ours',
    title: 'Holdfast, to S3',
    kind: 'ours',
    stores: 's3',
    action: { name: 'backup', inputs: { ...encrypted, storage: '$S3_URL', fingerprint: 'none' } },
  },
  {
    name: 'ours-content',
    title: 'Holdfast, to S3, content fingerprint',
    kind: 'ours',
    stores: 's3',
    action: {
      name: 'backup',
      inputs: { ...encrypted, storage: '$S3_URL', fingerprint: 'content' },
    },
  },
  {
    name: 'ours-folder',
    title: 'Holdfast, to a folder',
    kind: 'ours',
    stores: 'folder',
    action: {
      name: 'backup',
      inputs: { ...encrypted, storage: '$FOLDER_URL', fingerprint: 'none' },
    },
  },
]

export const backups: Contestant[] = [
  ...ours,
  {
    name: 'usual',
    title: 'pg_dump, gzip, openssl, upload',
    kind: 'peer',
    needs: ['gzip', 'openssl', 'rclone'],
    stores: 's3',
    script: `FILE=shop.sql.gz.enc; pg_dump | gzip | ${openssl} | ${upload}`,
  },
  {
    name: 'age-pipe',
    title: 'pg_dump -Fc, age, upload',
    kind: 'peer',
    needs: ['age', 'rclone'],
    stores: 's3',
    script: `FILE=shop.dump.age; pg_dump -Fc | age -r "$RECIPIENT" | ${upload}`,
    note: "pg_dump's own default compression, gzip level 6",
  },
  {
    name: 'age-pipe-zstd',
    title: 'pg_dump -Fc zstd:1, age, upload',
    kind: 'peer',
    needs: ['age', 'rclone'],
    stores: 's3',
    script: `FILE=shop.dump.age; pg_dump -Fc --compress=zstd:1 | age -r "$RECIPIENT" | ${upload}`,
  },
  {
    name: 'bare',
    title: 'pg_dump -Fd -j alone, to a folder',
    kind: 'peer',
    stores: 'folder',
    script: bare('$FOLDER/dump'),
    note: 'neither encrypted nor uploaded',
  },
  {
    name: 'chain',
    title: 'pg_dump -Fd -j, then tar, age, upload',
    kind: 'peer',
    needs: ['tar', 'age', 'rclone'],
    stores: 's3',
    script: `FILE=shop.tar.age; ${bare('$TEMP/dump')}; tar -C "$TEMP" -cf - dump | age -r "$RECIPIENT" | ${upload}`,
    note: 'the best chain of stock tools that does the same work',
  },
  {
    name: 'restic',
    title: 'pg_dump, restic --stdin',
    kind: 'peer',
    needs: ['restic'],
    stores: 's3',
    before: 'restic init -q',
    script: 'pg_dump | restic backup -q --stdin --stdin-filename shop.sql',
    note: 'into a new repository each time, so that nothing is deduplicated',
  },
  {
    name: 'pgbackrest',
    title: 'pgBackRest, full, to a folder',
    kind: 'peer',
    needs: ['pgbackrest'],
    stores: 'folder',
    before: 'pgbackrest stanza-create',
    script: 'pgbackrest backup --type=full',
    note:
      'the files of the whole server, indexes too; zstd level 1, encrypted; to a folder, because ' +
      'its S3 needs TLS; without the archived WAL that recovery needs',
  },
  {
    name: 'floor',
    title: 'Floor: two COPY … TO STDOUT to nowhere',
    kind: 'floor',
    script:
      'copy() { for table in "$@"; do echo "COPY $table TO STDOUT;"; done | ' +
      `psql -X -q -v ON_ERROR_STOP=1 > /dev/null; }
copy $LARGEST & copy $OTHERS; wait $!`,
    note:
      'the rows as text over the same connection, discarded: the cost of any logical dump before ' +
      'it compresses or stores a byte; not one snapshot',
  },
]

export const restores: Contestant[] = [
  {
    name: 'ours',
    title: 'Holdfast verify, nothing compared',
    kind: 'ours',
    from: 'ours',
    action: { name: 'verify', inputs: { ...opened, 'scratch-url': '$SCRATCH_URL' } },
    note: 'creates its database, restores from S3 and drops it; every digest checked',
  },
  {
    name: 'ours-content',
    title: 'Holdfast verify, content compared',
    kind: 'ours',
    from: 'ours-content',
    action: { name: 'verify', inputs: { ...opened, 'scratch-url': '$SCRATCH_URL' } },
  },
  {
    name: 'ours-restore',
    title: 'Holdfast restore, swapped in',
    kind: 'ours',
    from: 'ours',
    action: {
      name: 'restore',
      inputs: { ...opened, 'target-url': '$TARGET_URL', confirm: '$PGDATABASE' },
    },
    note: 'with ANALYZE, which no other runs, and the swap of names',
  },
  {
    name: 'bare',
    title: 'pg_restore -j from a local folder',
    kind: 'peer',
    from: 'bare',
    script: 'pg_restore -j "$JOBS" -d "$PGDATABASE" "$FOLDER/dump"',
    note: 'neither downloaded nor decrypted',
  },
  {
    name: 'usual',
    title: 'download, openssl, gunzip, psql',
    kind: 'peer',
    from: 'usual',
    needs: ['gzip', 'openssl', 'rclone'],
    script: `FILE=shop.sql.gz.enc; ${download} | ${openssl} -d | gunzip | ${psql}`,
  },
  {
    name: 'age-pipe',
    title: 'download, age, pg_restore',
    kind: 'peer',
    from: 'age-pipe',
    needs: ['age', 'rclone'],
    script: `FILE=shop.dump.age; ${download} | age -d -i "$IDENTITY_FILE" | pg_restore -d "$PGDATABASE"`,
  },
  {
    name: 'age-pipe-zstd',
    title: 'download, age, pg_restore, zstd',
    kind: 'peer',
    from: 'age-pipe-zstd',
    needs: ['age', 'rclone'],
    script: `FILE=shop.dump.age; ${download} | age -d -i "$IDENTITY_FILE" | pg_restore -d "$PGDATABASE"`,
  },
  {
    name: 'chain',
    title: 'download, age, tar to disk, pg_restore -j',
    kind: 'peer',
    from: 'chain',
    needs: ['tar', 'age', 'rclone'],
    script:
      `FILE=shop.tar.age; ${download} | age -d -i "$IDENTITY_FILE" | tar -C "$TEMP" -xf -; ` +
      `pg_restore -j "$JOBS" -d "$PGDATABASE" "$TEMP/dump"`,
  },
  {
    name: 'restic',
    title: 'restic dump, psql',
    kind: 'peer',
    from: 'restic',
    needs: ['restic'],
    script: `restic dump -q latest shop.sql | ${psql}`,
  },
  {
    name: 'pgcopydb',
    title: 'pgcopydb clone, server to server',
    kind: 'peer',
    needs: ['pgcopydb'],
    script: 'pgcopydb clone --table-jobs "$JOBS" --index-jobs "$JOBS" --dir "$TEMP/pgcopydb"',
    note:
      'stores nothing: compare it with a backup and a restore together; its many processes share ' +
      'memory, which counts in each',
  },
  {
    name: 'pgbackrest',
    title: 'pgBackRest restore',
    kind: 'peer',
    from: 'pgbackrest',
    needs: ['pgbackrest'],
    before: 'mkdir -m 700 "$TEMP/data"',
    script: 'pgbackrest restore --pg1-path="$TEMP/data"',
    note: 'files only: no server is started on them',
  },
  {
    name: 'floor',
    title: 'Floor: two COPY … FROM, then the index builds',
    kind: 'floor',
    from: 'bare',
    before:
      'mkdir -p "$KEEP/rows"; for table in $LARGEST $OTHERS; do [ -e "$KEEP/rows/$table" ] || ' +
      'PGPORT="$SOURCE_PORT" PGPASSWORD="$SOURCE_PASSWORD" PGDATABASE=shop ' +
      `psql -X -q -c "COPY $table TO STDOUT" > "$KEEP/rows/$table"; done
pg_restore --section=pre-data -d "$PGDATABASE" "$FOLDER/dump"`,
    script:
      'copy() { for table in "$@"; do echo "BEGIN; TRUNCATE ONLY $table;"; ' +
      `echo "\\\\copy $table FROM '$KEEP/rows/$table'"; echo 'COMMIT;'; done | psql -X -q -v ON_ERROR_STOP=1; }
copy $LARGEST & copy $OTHERS; wait $!
pg_restore --section=post-data -j "$JOBS" -d "$PGDATABASE" "$FOLDER/dump"`,
    note: 'from files of plain text, into existing tables',
  },
]
