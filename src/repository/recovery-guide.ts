import { markdownText, sqlIdentifier, sqlLiteral } from '../escape.ts'
import { dataArchivesOf } from './read.ts'
import type { Manifest, StoredArchive } from './manifest.ts'

/**
 * Returns RECOVER.md, which is stored in each backup's folder: how to restore the backup with stock
 * tools alone. It names no secret. A test runs every command in it.
 */
export function recoveryGuide(
  manifest: Pick<
    Manifest,
    'id' | 'label' | 'source' | 'snapshot' | 'client' | 'encryption' | 'objects'
  >,
): string {
  const { source, snapshot, encryption } = manifest
  const base = manifest.objects.find(({ kind }) => kind === 'base')
  if (!base) throw new Error('a recovery guide needs a base archive')
  const others = dataArchivesOf(manifest)
  const encrypted = encryption !== 'none'
  const tools = [
    ...(encrypted ? ['age'] : []),
    ...(base.plain?.compression === 'zstd' ? ['zstd'] : []),
    `pg_restore ${source.major} (pg_dump ${manifest.client} wrote it)`,
  ]
  const [database, server] = [source.database, source.server].map(markdownText)
  return `# Backup ${manifest.id} of "${markdownText(manifest.label)}"

The database "${database}" of a PostgreSQL ${server} server, as of ${snapshot.at}
(write-ahead log position ${snapshot.lsn}). You can restore it with stock tools: ${tools.join(', ')}.

First, compare the digest of each object with \`objects[].sha256\` in manifest.json:

\`\`\`sh
sha256sum ${[base, ...others].map(({ name }) => name).join(' ')}
\`\`\`

Then create an empty database, and the roles that the backup needs. Ignore "role already exists"
errors:

\`\`\`sh
psql -d postgres <<'SQL'
${source.roles.names.map((name) => `CREATE ROLE ${sqlIdentifier(name)} NOLOGIN;`).join('\n')}
CREATE DATABASE restored ${localeOptions(source)};
SQL
\`\`\`

${encrypted ? keyFile : ''}${others.length ? inStages(base, others, encrypted) : inOne(base, encrypted)}

Last, run \`psql -d restored -c ANALYZE\`. manifest.json lists the rows that each table had
(\`fingerprint.tables\`).
${encrypted ? `\nEncrypted to:\n\n${encryption.recipients.map((recipient) => `- \`${recipient}\``).join('\n')}\n` : ''}`
}

const keyFile =
  'Put the age identity (the line AGE-SECRET-KEY-…) of one of the public keys below into ' +
  '`key.txt`. '

const restore = 'pg_restore --no-tablespaces --no-subscriptions -d restored'

/** For one archive: one pipe. */
function inOne(base: StoredArchive, encrypted: boolean): string {
  return `Restore.
If it stops at a row that "violates check constraint", that check reads another table: run it
again without --exit-on-error, then reload the tables named in the errors with
\`pg_restore -a -t TABLE\`.

${shell(piped(base, encrypted, `${restore} --exit-on-error`))}`
}

/**
 * For several archives: the base archive without rows, all rows, then what needs the rows. Grants
 * come where pg_restore itself puts them.
 */
function inStages(
  base: StoredArchive,
  others: readonly StoredArchive[],
  encrypted: boolean,
): string {
  const file = 'base.dump'
  const opened = base.name === file
  const asFile = opened ? '' : '. It is read several times, so write it to a file first'
  const opening = opened ? [] : [`${piped(base, encrypted)} > ${file}`]
  const preData = `${restore} --exit-on-error --section=pre-data --no-privileges ${file}`
  const rows = others.map((archive) => piped(archive, encrypted, restore))
  return `The backup has several archives. First restore types, tables and functions from the base
archive${asFile}:

${shell(...opening, preData)}

Then restore the rows of all archives, in parallel if you like. Restore the base archive last, because
its sequence values are the right ones. If a row "violates check constraint", that check reads another
table: run the command again after the others, with \`-a -t TABLE\`.

${shell(...rows, `${restore} --section=data --no-privileges ${file}`)}

Then restore indexes, constraints, grants and materialized views. \`-j 4\` is faster, but may fail if
a role passes grants on, or if the function of a view reads another view:

${shell(
  `pg_restore -l --section=post-data --no-privileges ${file} > rest.list`,
  `pg_restore -l ${file} | sed -nE '/^[0-9]+; [0-9]+ [0-9]+ (DEFAULT )?ACL /p' >> rest.list`,
  `${restore} --exit-on-error -L rest.list ${file}`,
  `rm rest.list${opened ? '' : ` ${file}`}`,
)}`
}

/** Decrypts and decompresses an archive of the folder, and pipes it into a command. */
function piped({ name, plain }: StoredArchive, encrypted: boolean, command?: string): string {
  const steps = [
    ...(encrypted ? ['age -d -i key.txt'] : []),
    ...(plain?.compression === 'zstd' ? ['zstd -dc'] : []),
    ...(command ? [command] : []),
  ]
  const [first = '', ...rest] = steps
  return [`${first} ${first === command ? '< ' : ''}${name}`, ...rest].join(' \\\n  | ')
}

function shell(...commands: string[]): string {
  return `\`\`\`sh\n${commands.join('\n')}\n\`\`\``
}

function localeOptions(source: Manifest['source']): string {
  const { locale } = source
  const options = [
    'TEMPLATE template0',
    `ENCODING '${locale.encoding}'`,
    `LC_COLLATE ${sqlLiteral(locale.collate)}`,
    `LC_CTYPE ${sqlLiteral(locale.ctype)}`,
    ...(source.major >= 15 ? [`LOCALE_PROVIDER ${locale.provider}`] : []),
    ...(locale.locale
      ? [
          `${locale.provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE'} ${sqlLiteral(locale.locale)}`,
        ]
      : []),
    ...(locale.icuRules ? [`ICU_RULES ${sqlLiteral(locale.icuRules)}`] : []),
  ]
  return options.join(' ')
}
