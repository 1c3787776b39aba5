import { quoteName, quoteText } from '../postgres/connection/session.ts'
import { dataArchivesOf } from './read.ts'
import type { Manifest, StoredArchive } from './manifest.ts'

/**
 * RECOVER.md, stored in each backup's folder: how to restore it with stock tools alone, on a day
 * when this project is gone. Names no secret; every command in it is run by a test.
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
  return `# Backup ${manifest.id} of "${manifest.label}"

The database "${source.database}" of a PostgreSQL ${source.server} server, as it was at ${snapshot.at} (write-ahead log ${snapshot.lsn}).
It can be restored with stock tools: ${tools.join(', ')}.

First, check what was stored against its digest in manifest.json (each \`sha256\` in \`objects\`):

\`\`\`sh
sha256sum ${[base, ...others].map(({ name }) => name).join(' ')}
\`\`\`

Then create the roles that the database names, where they are missing (an error "already exists" is fine), and an empty database:

\`\`\`sh
psql -d postgres <<'SQL'
${source.roles.names
  .filter((name) => !/[\r\n]/.test(name))
  .map((name) => `CREATE ROLE ${quoteName(name)} NOLOGIN;`)
  .join('\n')}
CREATE DATABASE restored ${localeOptions(source)};
SQL
\`\`\`

${encrypted ? '`key.txt` holds the age identity (the line AGE-SECRET-KEY-…) that belongs to one of the public keys below. ' : ''}${others.length ? inStages(base, others, encrypted) : inOne(base, encrypted)}

Last, \`psql -d restored -c ANALYZE\`. manifest.json tells how many rows each table had (\`fingerprint.tables\`).
${encrypted ? `\nEncrypted to:\n\n${encryption.recipients.map((recipient) => `- \`${recipient}\``).join('\n')}\n` : ''}`
}

const restore = 'pg_restore --no-tablespaces --no-subscriptions -d restored'

/** One archive: one pipe. */
function inOne(base: StoredArchive, encrypted: boolean): string {
  return `Restore.
If it stops at a row that "violates check constraint", that check reads another table: leave out --exit-on-error, and load the tables
that it names once more with \`-a -t\`.

${shell(piped(base, encrypted, `${restore} --exit-on-error`))}`
}

/**
 * Several: the base archive without rows, all rows, and then what needs the rows. Grants go where
 * pg_restore itself puts them.
 */
function inStages(
  base: StoredArchive,
  others: readonly StoredArchive[],
  encrypted: boolean,
): string {
  const file = 'base.dump'
  const opened = base.name === file
  return `The backup has several archives. First types, tables and functions, from the base archive${opened ? '' : ', which is read several times and so becomes a file'}:

${shell(...(opened ? [] : [`${piped(base, encrypted)} > ${file}`]), `${restore} --exit-on-error --section=pre-data --no-privileges ${file}`)}

Then the rows of all archives; several at a time if you like, the base archive last, since its values of sequences count. Where a row "violates check constraint", that check reads another
table: run the command once more, after the others, with \`-a -t\` and the table's name.

${shell(...others.map((archive) => piped(archive, encrypted, restore)), `${restore} --section=data --no-privileges ${file}`)}

Then indexes, constraints, grants and materialized views (\`-j 4\` makes it quicker where no role passes grants on, and no view's
function reads another view):

${shell(
  `pg_restore -l --section=post-data --no-privileges ${file} > rest.list`,
  `pg_restore -l ${file} | sed -nE '/^[0-9]+; [0-9]+ [0-9]+ (DEFAULT )?ACL /p' >> rest.list`,
  `${restore} --exit-on-error -L rest.list ${file}`,
  `rm rest.list${opened ? '' : ` ${file}`}`,
)}`
}

/** An archive of the folder through what opens it, and into a command. */
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
    `LC_COLLATE '${locale.collate}'`,
    `LC_CTYPE '${locale.ctype}'`,
    ...(source.major >= 15 ? [`LOCALE_PROVIDER ${locale.provider}`] : []),
    ...(locale.locale
      ? [`${locale.provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE'} '${locale.locale}'`]
      : []),
    ...(locale.icuRules ? [`ICU_RULES ${quoteText(locale.icuRules)}`] : []),
  ]
  return options.join(' ')
}
