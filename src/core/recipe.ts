import { quoteName, quoteText } from '../postgres/session.ts'
import type { Manifest } from './manifest.ts'

/**
 * RECOVER.md, stored in each backup's folder: how to restore it with stock tools alone, on a day when this project is gone.
 * Names no secret; every command in it is run by a test.
 */
export function recipe(manifest: Pick<Manifest, 'id' | 'label' | 'source' | 'snapshot' | 'client' | 'encryption'>, archive: { name: string; compression: 'none' | 'zstd' }): string {
  const { source, snapshot } = manifest
  const decrypt = manifest.encryption === 'none' ? [] : ['age -d -i key.txt']
  const decompress = archive.compression === 'zstd' ? ['zstd -dc'] : []
  const restore = 'pg_restore --exit-on-error --no-tablespaces --no-subscriptions -d restored'
  const chain = [...decrypt, ...decompress, restore]
  const [first = '', ...rest] = chain
  const { locale } = source
  const options = [
    'TEMPLATE template0',
    `ENCODING '${locale.encoding}'`,
    `LC_COLLATE '${locale.collate}'`,
    `LC_CTYPE '${locale.ctype}'`,
    ...(source.major >= 15 ? [`LOCALE_PROVIDER ${locale.provider}`] : []),
    ...(locale.locale ? [`${locale.provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE'} '${locale.locale}'`] : []),
    ...(locale.icuRules ? [`ICU_RULES ${quoteText(locale.icuRules)}`] : []),
  ]
  const input = first === restore ? `< ${archive.name}` : archive.name
  return `# Backup ${manifest.id} of "${manifest.label}"

The database "${source.database}" of a PostgreSQL ${source.server} server, as it was at ${snapshot.at} (write-ahead log ${snapshot.lsn}).
It can be restored with stock tools: ${[...(decrypt.length ? ['age'] : []), ...(decompress.length ? ['zstd'] : []), `pg_restore ${source.major} (pg_dump ${manifest.client} wrote it)`].join(', ')}.

First, check what was stored against its digest in manifest.json (the \`sha256\` of \`${archive.name}\` in \`objects\`):

\`\`\`sh
sha256sum ${archive.name}
\`\`\`

Then create the roles that the database names, where they are missing (an error "already exists" is fine), and an empty database:

\`\`\`sh
psql -d postgres <<'SQL'
${source.roles.names.filter((name) => !/[\r\n]/.test(name)).map((name) => `CREATE ROLE ${quoteName(name)} NOLOGIN;`).join('\n')}
CREATE DATABASE restored ${options.join(' ')};
SQL
\`\`\`

Restore${decrypt.length ? '. `key.txt` holds the age identity (the line AGE-SECRET-KEY-…) that belongs to one of the public keys below' : ''}.
If it stops at a row that "violates check constraint", that check reads another table: leave out --exit-on-error, and load the tables
that it names once more with \`-a -t\`.

\`\`\`sh
${first} ${input}${rest.map((command) => ` \\\n  | ${command}`).join('')}
\`\`\`

Last, \`psql -d restored -c ANALYZE\`. manifest.json tells how many rows each table had (\`fingerprint.tables\`).
${manifest.encryption === 'none' ? '' : `\nEncrypted to:\n\n${manifest.encryption.recipients.map((recipient) => `- \`${recipient}\``).join('\n')}\n`}`
}
