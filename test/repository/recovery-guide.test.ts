import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Manifest, StoredArchive } from '../../src/repository/manifest.ts'
import { recoveryGuide } from '../../src/repository/recovery-guide.ts'

type Described = Parameters<typeof recoveryGuide>[0]

const archive = (
  name: string,
  kind: StoredArchive['kind'],
  bytes: number,
  compression: 'none' | 'zstd' = 'none',
): StoredArchive => ({
  name,
  kind,
  bytes,
  sha256: '0'.repeat(64),
  plain: { bytes, sha256: '0'.repeat(64), compression },
})

const source: Manifest['source'] = {
  database: 'shop',
  server: '15.4',
  major: 15,
  bytes: 1,
  locale: { encoding: 'UTF8', provider: 'libc', collate: 'C', ctype: 'C.UTF-8' },
  roles: { superuser: 'postgres', names: ['app', 'select', 'two\nlines', 'a"b'] },
}

const guide = (changes: Partial<Described> = {}): string =>
  recoveryGuide({
    id: '20261101T030000Z-aa0001',
    label: 'production',
    source,
    snapshot: { at: '2026-11-01T03:00:00.000Z', lsn: '0/1D52CC0' },
    client: '15.9',
    encryption: { recipients: ['age1one', 'age1two'] },
    objects: [archive('base.dump.zst.age', 'base', 5, 'zstd')],
    ...changes,
  })

/** The blocks of commands. */
const commands = (text: string): string[] =>
  [...text.matchAll(/```sh\n(.*?)\n```/gs)].map(([, block = '']) => block)

const locale = (changes: Partial<Manifest['source']>): string =>
  /CREATE DATABASE restored (.*);/.exec(guide({ source: { ...source, ...changes } }))?.[1] ?? ''

describe('the recovery guide', () => {
  test('of one archive is one pipe', () => {
    const text = guide()
    assert.deepEqual(commands(text), [
      'sha256sum base.dump.zst.age',
      `psql -d postgres <<'SQL'
CREATE ROLE "app" NOLOGIN;
CREATE ROLE "select" NOLOGIN;
CREATE ROLE U&"two\\+00000Alines" NOLOGIN;
CREATE ROLE "a""b" NOLOGIN;
CREATE DATABASE restored TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' LOCALE_PROVIDER libc;
SQL`,
      `age -d -i key.txt base.dump.zst.age \\
  | zstd -dc \\
  | pg_restore --no-tablespaces --no-subscriptions -d restored --exit-on-error`,
    ])
    assert.match(text, /^# Backup 20261101T030000Z-aa0001 of "production"\n/)
    assert.match(text, /with stock tools: age, zstd, pg_restore 15 \(pg_dump 15\.9 wrote it\)\.\n/)
    assert.match(text, /Put the age identity .* into `key\.txt`\. Restore\.\n/)
    assert.ok(text.endsWith('\nEncrypted to:\n\n- `age1one`\n- `age1two`\n'))
  })

  test('has no command that a name or a rule brought with it', () => {
    const name = 'shop\n```sh\nid\n```\n<img src=x> \u001b[2J'
    const icuRules = '&a<b\nSQL\ntouch pwned'
    const text = guide({
      label: name,
      source: {
        ...source,
        database: name,
        server: name,
        roles: { superuser: 'postgres', names: [name, icuRules] },
        locale: { ...source.locale, provider: 'icu', collate: "C'; id", icuRules },
      },
    })
    assert.equal(commands(text).length, 3)
    assert.doesNotMatch(text, /^id$|^touch|\u001b/m)
    assert.doesNotMatch(text.replace(/```sh\n.*?\n```/gs, ''), /<img/)
    assert.equal(text.match(/^SQL$/gm)?.length, 1)
    assert.match(text, /LC_COLLATE 'C''; id' /)
    assert.match(text, /ICU_RULES U&'&a<b\\\+00000ASQL\\\+00000Atouch pwned';/)
  })

  test('of an archive that is neither encrypted nor compressed reads the file', () => {
    const text = guide({ encryption: 'none', objects: [archive('base.dump', 'base', 5)] })
    assert.equal(
      commands(text)[2],
      'pg_restore --no-tablespaces --no-subscriptions -d restored --exit-on-error < base.dump',
    )
    assert.match(text, /with stock tools: pg_restore 15 /)
    assert.doesNotMatch(text, /\bage\b|zstd|key\.txt/)
    assert.ok(text.endsWith('had\n(`fingerprint.tables`).\n'))
  })

  test('of several archives restores the schema, then all rows, then the rest', () => {
    const text = guide({
      objects: [
        archive('rows/01.dump.age', 'rows', 3),
        archive('base.dump.age', 'base', 5),
        archive('large-objects.dump.zst.age', 'large-objects', 7, 'zstd'),
        archive('RECOVER.md', 'recovery-guide', 1),
      ],
    })
    const restore = 'pg_restore --no-tablespaces --no-subscriptions -d restored'
    const [digests, , schema, rows, rest] = commands(text)
    assert.equal(digests, 'sha256sum base.dump.age large-objects.dump.zst.age rows/01.dump.age')
    assert.equal(
      schema,
      `age -d -i key.txt base.dump.age > base.dump
${restore} --exit-on-error --section=pre-data --no-privileges base.dump`,
    )
    assert.equal(
      rows,
      `age -d -i key.txt large-objects.dump.zst.age \\
  | zstd -dc \\
  | ${restore}
age -d -i key.txt rows/01.dump.age \\
  | ${restore}
${restore} --section=data --no-privileges base.dump`,
    )
    assert.equal(
      rest,
      `pg_restore -l --section=post-data --no-privileges base.dump > rest.list
pg_restore -l base.dump | sed -nE '/^[0-9]+; [0-9]+ [0-9]+ (DEFAULT )?ACL /p' >> rest.list
${restore} --exit-on-error -L rest.list base.dump
rm rest.list base.dump`,
    )
    assert.match(
      text,
      /from the base\narchive\. It is read several times, so write it to a file first:/,
    )
  })

  test('of several archives reads the base archive where it is, if it is open', () => {
    const objects = [archive('base.dump', 'base', 5), archive('rows/01.dump', 'rows', 3)]
    const text = guide({ encryption: 'none', objects })
    const [, , schema, rows, rest] = commands(text)
    assert.match(schema ?? '', /^pg_restore .*--section=pre-data --no-privileges base\.dump$/)
    assert.match(rows ?? '', /^pg_restore .* -d restored < rows\/01\.dump\npg_restore /)
    assert.match(rest ?? '', /\nrm rest\.list$/)
    assert.match(text, /from the base\narchive:/)
  })

  test('creates a database with the locale of the source', () => {
    const base = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    const of = { encoding: 'LATIN1', collate: 'C', ctype: 'C' }
    assert.equal(locale({ major: 14, locale: { ...of, provider: 'libc' } }), base)
    assert.equal(locale({ locale: { ...of, provider: 'libc' } }), `${base} LOCALE_PROVIDER libc`)
    assert.equal(
      locale({ locale: { ...of, provider: 'icu', locale: 'de-DE', icuRules: "&a < 'b'" } }),
      `${base} LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' ICU_RULES '&a < ''b'''`,
    )
    assert.equal(
      locale({ major: 17, locale: { ...of, provider: 'builtin', locale: 'C.UTF-8' } }),
      `${base} LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'`,
    )
  })

  test('needs a base archive', () => {
    assert.throws(
      () => guide({ objects: [archive('rows/01.dump', 'rows', 3)] }),
      new Error('a recovery guide needs a base archive'),
    )
  })
})
