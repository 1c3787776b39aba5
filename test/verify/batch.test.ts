import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { Cancelled, UserError } from '../../src/errors.ts'
import { packageOf } from '../../src/postgres/programs/packages.ts'
import { batchFailure, batchReport, batchVerdict, sumOf } from '../../src/report/verify/batch.ts'
import { fallenText } from '../../src/report/verify/objectives.ts'
import { parseSelector } from '../../src/repository/selector.ts'
import { readProof } from '../../src/repository/proof.ts'
import { verifyBatch, type VerifyBatch } from '../../src/verify/batch.ts'
import type { VerifyBatchOptions } from '../../src/verify/result.ts'
import type { Work } from '../../src/work.ts'
import { again, folderOf, manifestOf, rewrite } from '../repository/backup-index.ts'
import { newStore, type Store } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { freshDatabase, newestServer, query } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { plainText } from '../../src/text.ts'

const server = newestServer()
const scratch = server.to('postgres')
const orders = {
  name: 'a hundred orders',
  sql: 'CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 100) g',
}
const hour = 3_600_000
const seed = await newStore()
let seedId = ''

before(async () => {
  const { connection } = await freshDatabase(server, orders)
  seedId = (await seed.backup(connection)).id
})

/** A store with the good backup in it so many times, a day apart, the newest an hour old. */
async function backups(
  count: number,
): Promise<{ store: Store; ids: string[]; options: VerifyBatchOptions }> {
  const store = await newStore()
  const ids = Array.from({ length: count }, (_, i) => {
    const at = new Date(Date.now() - hour - (count - 1 - i) * 24 * hour)
    return `${at.toISOString().replace(/[-:]/g, '').slice(0, 15)}Z-aa000${i}`
  })
  for (const id of ids) again(seed, seedId, id, {}, store)
  return { store, ids, options: { ...store.reading, identities: [seed.identity], scratch } }
}

/**
 * Another size and number of rows, in the manifest alone: for verifications that look at no object.
 */
function resize(store: Store, id: string, factor: number): void {
  rewrite(store, id, (manifest) => ({
    ...manifest,
    objects: manifest.objects.map((each) => ({ ...each, bytes: Math.round(each.bytes * factor) })),
    fingerprint: {
      ...manifest.fingerprint,
      tables: manifest.fingerprint.tables.map((each) => ({
        ...each,
        rows: Math.round(each.rows * factor),
      })),
    },
  }))
}

const refused =
  (code: string, pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof UserError &&
    error.code === code &&
    pattern.test(`${error.message} ${error.hint}`)
const go = (options: VerifyBatchOptions, work: Work = quietWork()): Promise<VerifyBatch> =>
  verifyBatch(options, work)

describe('a run over several', () => {
  test('looks at all of them: good, bad, with an unreadable manifest, or not to be verified here', async () => {
    const { store, ids, options } = await backups(6)
    const [good = '', bad = '', damaged = '', closed = '', lacking = '', newest = ''] = ids
    rmSync(join(folderOf(store, bad), 'base.dump.age'))
    writeFileSync(
      join(folderOf(store, damaged), 'manifest.json'),
      readFileSync(join(folderOf(store, damaged), 'manifest.json'), 'utf8').replace(
        '"rows": 100',
        '"rows": 101',
      ),
    )
    const stranger = await identityToRecipient(await generateX25519Identity())
    rewrite(store, closed, (manifest) => ({ ...manifest, encryption: { recipients: [stranger] } }))
    rewrite(store, lacking, (manifest) => ({
      ...manifest,
      fingerprint: {
        ...manifest.fingerprint,
        supplement: {
          ...manifest.fingerprint.supplement,
          extensions: { plpgsql: '1.0 in pg_catalog', vector: '0.8 in public' },
        },
      },
    }))
    const said: string[] = []
    const work = quietWork()
    const run = await go(
      { ...options, backup: { kind: 'all' } },
      {
        ...work,
        log: {
          ...work.log,
          info: (text) => void said.push(plainText(text)),
          group: (title, body) => (said.push(title), body()),
        },
      },
    )
    assert.deepEqual(
      run.backups.map(({ id }) => id),
      ids.toReversed(),
    )
    const of = (id: string): VerifyBatch['backups'][number] | undefined =>
      run.backups.find((each) => each.id === id)
    for (const id of [good, newest])
      assert.deepEqual([of(id)?.result?.level, of(id)?.result?.proven], ['identical', true])
    assert.match(of(bad)?.result?.stoppedBy ?? '', /base\.dump\.age is missing/)
    assert.deepEqual(
      [of(damaged)?.failure?.code, of(damaged)?.failure?.bad],
      ['manifest-damaged', true],
    )
    assert.deepEqual([of(closed)?.failure?.code, of(closed)?.failure?.bad], ['wrong-key', false])
    assert.deepEqual(
      [of(lacking)?.failure?.code, of(lacking)?.failure?.bad],
      ['extension-missing', false],
    )
    assert.match(
      of(lacking)?.failure?.hint ?? '',
      new RegExp(`apt-get install -y postgresql-${server.major}-pgvector\\.`),
    )
    const sum = sumOf(run)
    assert.deepEqual(
      [sum.checked, sum.valid, sum.bad, sum.notChecked, sum.proven, sum.level],
      [4, 2, 2, 2, false, 'none'],
    )
    const failure = batchFailure(run)
    assert.equal(failure?.code, 'not-proven')
    assert.match(plainText(failure?.message ?? ''), /4 checked, 2 valid, 2 bad, 2 not checked, /)
    const report = renderMarkdown(batchReport(run))
    const order = [...report.matchAll(/^\| (\S+) \| `(\d{8}T\d{6}Z-\w+)`/gm)].map(
      ([, mark, id]) => `${mark} ${id}`,
    )
    assert.deepEqual(order, [
      `❌ ${damaged}`,
      `❌ ${bad}`,
      `❔ ${lacking}`,
      `❔ ${closed}`,
      `✅ ${newest}`,
      `✅ ${good}`,
    ])
    assert.match(report, /not checked, because: /)
    assert.ok(
      said.includes(`Backup 1 of 6: ${newest}`) &&
        said.some((text) => text === `${bad}: BAD, level "none": ${of(bad)?.result?.stoppedBy}`),
      said.join('\n'),
    )
    for (const id of [good, bad, newest])
      assert.equal(readdirSync(join(folderOf(store, id), 'proofs')).length, 1)
  })

  test('that finds all of them good says how many, and how much', async () => {
    const { options } = await backups(3)
    const run = await go({ ...options, backup: { kind: 'all' }, level: 'stored', identities: [] })
    assert.deepEqual([sumOf(run).checked, sumOf(run).valid, batchFailure(run)], [3, 3, undefined])
    assert.match(plainText(batchVerdict(run)), /^Backups of test: 3 checked, 3 valid, [\d.]+ KiB, /)
    assert.match(renderMarkdown(batchReport(run)), /^## ✅ Backups of `test`: 3 checked, 3 valid, /)
  })

  test('of the oldest unproven comes round to each, and then has nothing to do, which is no failure', async () => {
    const { ids, options } = await backups(3)
    for (const id of ids)
      assert.deepEqual(
        (await go({ ...options, backup: { kind: 'oldest-unproven' } })).backups.map((each) => [
          each.id,
          each.result?.proven,
        ]),
        [[id, true]],
      )
    const done = await go({ ...options, backup: { kind: 'oldest-unproven' } })
    assert.deepEqual(
      [done.backups, batchFailure(done), sumOf(done).checked, sumOf(done).proven],
      [[], undefined, 0, true],
    )
    assert.match(renderMarkdown(batchReport(done)), /^## ✅ Backups of `test`: nothing to verify/)
    assert.match(
      plainText(batchVerdict(done)),
      /^Nothing to verify: each of the 3 backups of test already has a verdict/,
    )
  })

  test('that could not check one fails, with the reason', async () => {
    const { store, ids, options } = await backups(2)
    rewrite(store, ids[0] as string, (manifest) => ({
      ...manifest,
      source: { ...manifest.source, major: 99, server: '99.1' },
    }))
    const run = await go({ ...options, backup: { kind: 'all' } })
    const failure = batchFailure(run)
    assert.equal(failure?.code, 'not-checked')
    assert.match(
      `${plainText(failure?.message ?? '')} ${plainText(failure?.hint ?? '')}`,
      /1 checked, 1 valid, 1 not checked.*older than the backup's 99\.1/,
    )
    // of one backup, it is what the step fails with
    await assert.rejects(
      go({ ...options, backup: parseSelector(ids[0] as string) }),
      refused('server-older', /99\.1/),
    )
  })

  test('ends at a cancel, and at a fault of ours', async () => {
    const { options } = await backups(3)
    const stop = new AbortController()
    const work = quietWork(stop.signal)
    let groups = 0
    const log: Work['log'] = {
      ...work.log,
      group: (_title, body) => (++groups === 2 && stop.abort(new Cancelled()), body()),
    }
    await assert.rejects(
      go({ ...options, backup: { kind: 'all' }, level: 'stored' }, { ...work, log }),
      Cancelled,
    )
    const broken = {
      ...options,
      sources: options.sources.map((storage) =>
        override(storage, {
          read: () => {
            throw new TypeError('ours')
          },
        }),
      ),
    }
    await assert.rejects(go({ ...broken, backup: { kind: 'all' }, level: 'stored' }), TypeError)
  })
})

describe('objectives', () => {
  test('the newest backup’s age counts, whichever was verified', async () => {
    const { ids, options } = await backups(2)
    const look = (backup: string, maxAge: number): Promise<VerifyBatch> =>
      go({
        ...options,
        backup: parseSelector(backup, ['one', 'several']),
        level: 'stored',
        objectives: { maxAge },
      })
    for (const backup of [ids[0] as string, 'latest', 'all', 'sample: 1']) {
      assert.equal(batchFailure(await look(backup, 2 * hour)), undefined, backup)
      const failure = batchFailure(await look(backup, hour / 2))
      assert.equal(failure?.code, 'backup-too-old')
      assert.match(
        plainText(failure?.message ?? ''),
        new RegExp(
          `The newest backup \\(${ids[1]}\\) is 1 hour old, more than the 30 minutes of max-age\\.$`,
        ),
      )
    }
  })

  test('a restore that takes longer fails, with the time, and with how much fits', async () => {
    const { store, ids, options } = await backups(1)
    const slow = await go({ ...options, objectives: { maxRestoreTime: 1 } })
    assert.equal(batchFailure(slow)?.code, 'restore-too-slow')
    assert.match(
      plainText(batchFailure(slow)?.message ?? ''),
      new RegExp(
        /^Proven: .*The whole restore \([\d.]+ MiB on its server\) took [\d.]+ m?s, /.source +
          /more than the 1 ms of max-restore-time; /.source +
          /at this speed only [\d.]+ (B|KiB|MiB) can be restored within the limit\.$/.source,
      ),
    )
    const [objective] = slow.backups[0]?.result?.objectives ?? []
    assert.ok(
      objective?.name === 'max-restore-time' &&
        objective.found === slow.backups[0]?.result?.timings.restore &&
        objective.bytes === manifestOf(store, ids[0] as string).source.bytes,
    )
    // the proof was stored before, and it says so
    const folder = join(folderOf(store, ids[0] as string), 'proofs')
    const proof = readProof(readFileSync(join(folder, readdirSync(folder)[0] as string), 'utf8'))
    assert.deepEqual(
      [proof?.proven, proof?.objectives],
      [true, [{ name: 'max-restore-time', limit: 1, found: objective.found, met: false }]],
    )
    const fast = await go({ ...options, objectives: { maxRestoreTime: hour } })
    assert.equal(batchFailure(fast), undefined)
    const [met] = fast.backups[0]?.result?.objectives ?? []
    // at the same speed: as many bytes a millisecond
    assert.ok(
      met?.name === 'max-restore-time' &&
        Math.abs((met.fills ?? 0) / ((met.bytes ?? 0) * (hour / (met.found ?? 1))) - 1) < 0.001,
    )
    assert.match(
      renderMarkdown(batchReport(fast)),
      /at this speed the limit is reached when the database has [\d.,]+ \w+ on its server/,
    )
  })

  test('a size or a number of rows beyond the median of those before it fails, with the figures', async () => {
    const { store, ids, options } = await backups(9)
    // the oldest is out of sight, and one that cannot be read is left out; the median is not moved
    // by one that is odd
    resize(store, ids[0] as string, 1000)
    resize(store, ids[1] as string, 50)
    writeFileSync(join(folderOf(store, ids[2] as string), 'manifest.json'), '{}')
    const look = (maxSizeChange?: number): Promise<VerifyBatch> =>
      go({
        ...options,
        level: 'stored',
        objectives: maxSizeChange === undefined ? {} : { maxSizeChange },
      })
    const same = await look(0.05)
    assert.equal(batchFailure(same)?.code, undefined)
    assert.match(
      renderMarkdown(batchReport(same)),
      /100 rows, as much as the median of the 6 backups before it \(100\): within the 5 % of `max-size-change`/,
    )
    // half of the rows are gone: the objects too, so that level `stored` fails as well, and all is
    // told at once
    resize(store, ids[8] as string, 0.4)
    const shrunk = batchFailure(await look(0.5))
    assert.equal(shrunk?.code, 'not-proven')
    assert.match(
      plainText(shrunk?.message ?? ''),
      new RegExp(
        /Not proven: .*damaged.*40 rows, /.source +
          /60 % less than the median of the 6 backups before it \(100\): /.source +
          /beyond the 50 % of max-size-change\.$/.source,
      ),
    )
    const [change] = (await look(0.7)).backups[0]?.result?.objectives ?? []
    assert.deepEqual([change?.name, change?.met], ['max-size-change', true])
    // without an objective it is a warning, and only a fall is
    const warned = (await look()).backups[0]?.result
    assert.deepEqual(
      warned?.fallen.map(({ of, median }) => [of, of === 'rows' ? median : 0]),
      [
        ['bytes', 0],
        ['rows', 100],
      ],
    )
    assert.match(
      plainText(fallenText('x', warned?.fallen ?? [])[0] ?? ''),
      /^x is far smaller than the backups before it: .* stored, 60 % less than .*; 40 rows, 60 % less than/,
    )
    resize(store, ids[8] as string, 0)
    const none = (await look(2)).backups[0]?.result?.objectives[0]
    assert.equal(none?.met, false, 'no rows at all are beyond any share')
    resize(store, ids[7] as string, 3)
    assert.deepEqual(
      (await go({ ...options, backup: parseSelector(ids[7] as string), level: 'stored' }))
        .backups[0]?.result?.fallen,
      [],
    )
    assert.equal(
      (
        await go({
          ...options,
          backup: parseSelector(ids[7] as string),
          level: 'stored',
          objectives: { maxSizeChange: 1.5 },
        })
      ).backups[0]?.result?.objectives[0]?.met,
      false,
    )
  })

  test('the first backup has nothing to be compared with', async () => {
    const { options } = await backups(1)
    const run = await go({ ...options, level: 'stored', objectives: { maxSizeChange: 0.01 } })
    assert.deepEqual(
      [run.backups[0]?.result?.objectives, batchFailure(run)],
      [[{ name: 'max-size-change', limit: 0.01, changes: [] }], undefined],
    )
  })

  test('all that are not met are told in one failure, after a check that failed', async () => {
    const { ids, options } = await backups(2)
    const run = await go({
      ...options,
      checks: [{ name: 'c', sql: 'SELECT false' }],
      objectives: { maxAge: 1, maxRestoreTime: 1, maxSizeChange: 0.5 },
    })
    const failure = batchFailure(run)
    assert.equal(failure?.code, 'check-failed')
    assert.match(
      plainText(failure?.message ?? ''),
      new RegExp(
        `^A check failed: backup ${ids[1]} .*The backup itself is good.*"c" gave false\\. ` +
          'The newest backup .* of max-age\\. The whole restore .* of max-restore-time',
      ),
    )
    assert.doesNotMatch(plainText(failure?.message ?? ''), /max-size-change/)
    assert.match(
      renderMarkdown(batchReport(run)),
      /\| ❌ \| `max-age` \|[^\n]*\n\| ❌ \| `max-restore-time` \|[^\n]*\n\| ✅ \| `max-size-change` \|/,
    )
    assert.match(renderMarkdown(batchReport(run)), /\| ❌ \| c \| gave false \|/)
  })
})

describe('a scratch server', () => {
  const role = `owner_${process.pid}`
  const has = async (): Promise<boolean> =>
    (await query(server, 'postgres', `SELECT FROM pg_roles WHERE rolname = '${role}'`)).length > 0

  test('gets the roles that it lacks, and is rid of them afterwards', async () => {
    const { connection, name } = await freshDatabase(server, orders)
    const store = await newStore()
    await query(server, name, `CREATE ROLE ${role}; ALTER TABLE orders OWNER TO ${role}`)
    await store.backup(connection)
    await query(server, name, `ALTER TABLE orders OWNER TO CURRENT_USER; DROP ROLE ${role}`)
    const options = { ...store.reading, scratch }
    assert.deepEqual(
      (await go(options)).backups.map(({ result }) => result?.level),
      ['identical'],
    )
    assert.equal(await has(), false)
    // a copy of another run's that rests on it meanwhile, and a failure
    let other = ''
    const work = quietWork()
    const log: Work['log'] = {
      ...work.log,
      group: async (title, body) => {
        if (/Measuring/.test(title) && other === '')
          await query(
            server,
            'postgres',
            `CREATE DATABASE ${(other = `holdfast_other_${process.pid}`)} OWNER ${role}`,
          )
        return body()
      },
    }
    try {
      await go(options, { ...work, log })
      assert.equal(await has(), true, 'somebody needs it')
    } finally {
      await query(server, 'postgres', `DROP DATABASE ${other}`)
    }
    await query(server, 'postgres', `DROP ROLE ${role}`)
    // one that was there before stays
    await query(server, 'postgres', `CREATE ROLE ${role}`)
    await go(options)
    assert.equal(await has(), true)
    await query(server, 'postgres', `DROP ROLE ${role}`)
  })
})

test('an extension is named with the package that has it', () => {
  for (const [extension, name] of Object.entries({
    postgis: 'postgresql-17-postgis-3',
    postgis_topology: 'postgresql-17-postgis-3',
    vector: 'postgresql-17-pgvector',
    pg_cron: 'postgresql-17-cron',
    timescaledb: 'timescaledb-2-postgresql-17',
    pg_partman: 'postgresql-17-partman',
    plpython3u: 'postgresql-plpython3-17',
    'uuid-ossp': 'postgresql-17',
    hstore: 'postgresql-17',
    constructor: undefined,
    own_one: undefined,
  }))
    assert.equal(packageOf(extension, 17), name, extension)
})
