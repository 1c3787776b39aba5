import assert from 'node:assert/strict'
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { readManifest, writeManifest } from '../../src/repository/manifest.ts'
import { version } from '../../src/version.ts'
import { newFolder } from '../actions/watched-run.ts'
import { untilOlderThanASecond } from '../support/clock.ts'
import { type OwnServer, startOwnServer } from '../support/own-server.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import { dist, notes, type Typed, typed, type TypedOptions } from './typed.ts'

/**
 * What a person types on the day when GitHub is down, through the bundle, against a real server, a
 * folder and an S3 server.
 */
let server: OwnServer
let s3: RunningS3
let identity: string
let recipient: string
let home: string
let key: string
let storage: string[]
let target: string

before(async () => {
  server = await startOwnServer()
  s3 = await startS3(['backups'])
  identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
  home = newFolder()
  key = join(home, 'key.txt')
  writeFileSync(key, `# public key: ${recipient}\n${identity}\n`, { mode: 0o600 })
  storage = ['--storage', `file://${newFolder()}`, '--storage', s3.url('dr')]
  const { host, port } = server.to('shop')
  target = `postgres://holdfast@${host}:${port}/shop`
  await server.create(
    'shop',
    'CREATE TABLE orders AS SELECT g AS id, g + 0.25 AS total FROM generate_series(1, 2000) g',
  )
})
after(() => s3.stop())

/** Runs, and holds what holds for every run: no secret where it can be read, nothing left. */
async function run(args: readonly string[], options: Partial<TypedOptions> = {}): Promise<Typed> {
  const ran = await typed(args, {
    home,
    ...options,
    env: { ...s3.env, PGPASSWORD: server.password, ...options.env },
  })
  for (const secret of [
    server.password,
    encodeURIComponent(server.password),
    identity,
    s3.env.AWS_SECRET_ACCESS_KEY,
  ])
    for (const [where, text] of Object.entries({
      output: ran.said,
      'command lines': ran.commands.join('\n'),
    }))
      assert.ok(!text.includes(secret), `a secret is in the ${where}`)
  assert.deepEqual(ran.left.processes, [], ran.said)
  assert.deepEqual(
    ran.left.files.filter((name) => !name.startsWith('holdfast-rehearsal-')),
    [],
    ran.said,
  )
  assert.deepEqual(notes(home), [])
  assert.doesNotMatch(ran.said, /^::|    at /m)
  return ran
}
const good = (ran: Typed): void => assert.equal(ran.code, 0, ran.said)
const json = (ran: Typed): Record<string, unknown> => {
  assert.equal(ran.stdout.trim().split('\n').length, 1, ran.stdout)
  return JSON.parse(ran.stdout) as Record<string, unknown>
}
const restore = (): string[] => [
  'restore',
  ...storage,
  '--label',
  'production',
  '--decrypt-with-file',
  key,
  '--target-url',
  target,
]
const orders = async (database = 'shop'): Promise<unknown> =>
  (await server.query(database, `SELECT to_regclass('orders') IS NOT NULL AS there`))[0]?.['there']
const drop = (): Promise<unknown> => server.query('shop', 'DROP TABLE IF EXISTS orders')
const previous = async (): Promise<string[]> =>
  (await server.databases()).filter((name) => name.startsWith('shop_before'))

let id = ''
test('backup, from libpq’s variables: the outputs as one JSON object, all else beside it', async () => {
  const { host, port, user } = server.to('shop')
  const ran = await run(
    ['backup', ...storage, '--label=production', '--encrypt-to', recipient, '--json', '--debug'],
    { env: { PGHOST: host, PGPORT: String(port), PGUSER: user, PGDATABASE: 'shop' } },
  )
  good(ran)
  const outputs = json(ran)
  assert.deepEqual(
    [outputs['outcome'], outputs['error-code'], outputs['rows']],
    ['success', '', 2000],
  )
  id = String(outputs['backup-id'])
  assert.match(id, /^\d{8}T\d{6}Z-/)
  assert.match(ran.stderr, /✅ Backup of production stored/)
  assert.match(ran.stderr, /· \$ .*pg_dump/, '--debug says what is run')
  // the report's inputs for the next step are flags
  assert.match(
    ran.stderr.replace(/\s*\n\s*│?\s*/g, ' '),
    new RegExp(`--storage file:\\S+ --label production --backup ${id} --decrypt-with-file FILE`),
  )
})

test('backup without a password: the error names the ways to give one', async () => {
  const ran = await run(['backup', ...storage, '--encrypt-to=none', '--database-url', target], {
    env: { PGPASSWORD: '' },
  })
  assert.equal(ran.code, 1)
  assert.match(
    ran.stderr.replace(/\s+/g, ' '),
    new RegExp(
      /asks for the password of "holdfast", and none was given\. Set PGPASSWORD, /.source +
        /add a line to ~\/\.pgpass, .* --database-url-file FILE .*password-missing/.source,
    ),
  )
})

describe('verify', () => {
  test('on a server of its own: a report for people, and the outputs at the end', async () => {
    const ran = await run(['verify', ...storage, '--decrypt-with-file', key])
    good(ran)
    assert.match(ran.stdout, /✅ Backup of production proven/)
    assert.match(
      ran.stdout,
      new RegExp(
        `\\nbackup-id: ${id}\\nlevel: identical\\nproven: true|level: identical\\nproven: true\\nbackup-id: ${id}\\n`,
      ),
    )
    assert.equal(ran.stderr, '')
    assert.doesNotMatch(ran.said, /\u001b/, 'no colour where nobody looks')
  })
  test('with the key from the environment, on a given server whose password is in the password file', async () => {
    const { host, port } = server.to('postgres')
    const passfile = join(home, 'passfile')
    writeFileSync(
      passfile,
      `${host}:${port}:*:holdfast:${server.password.replace(/[\\:]/g, '\\$&')}\n`,
      { mode: 0o600 },
    )
    const ran = await run(
      ['verify', ...storage, '--scratch-url', `postgres://holdfast@${host}:${port}/postgres`],
      { env: { HOLDFAST_DECRYPT_WITH: identity, PGPASSWORD: '', PGPASSFILE: passfile } },
    )
    good(ran)
    assert.deepEqual(await server.databases(), ['postgres', 'shop'])
  })
  test('with a wrong key: the error names its file, and without one the flag to add', async () => {
    const wrong = join(home, 'wrong.txt')
    writeFileSync(wrong, await generateX25519Identity())
    const ran = await run(['verify', ...storage, '--decrypt-with-file', wrong])
    assert.equal(ran.code, 1)
    const said = ran.stderr.replace(/\s+/g, ' ')
    assert.match(said, /No identity in --decrypt-with-file decrypts the backup/)
    assert.ok(said.includes(`The keys were read from ${wrong}.`), said)
    const without = await run(['verify', ...storage])
    assert.match(without.stderr.replace(/\s+/g, ' '), /one of these keys: --decrypt-with-file FILE/)
    assert.doesNotMatch(without.stderr, /--decrypt-with /)
  })
  test('that proves nothing ends with 1, and says what to do in the words of a command line', async () => {
    const bad = newFolder()
    good(
      await run([
        'backup',
        '--storage',
        `file://${bad}`,
        '--encrypt-to',
        recipient,
        '--database-url',
        target,
      ]),
    )
    const [archive = ''] = globSync(join(bad, '**/base.dump*'))
    const bytes = readFileSync(archive)
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
    writeFileSync(archive, bytes)
    const ran = await run([
      'verify',
      '--storage',
      `file://${bad}`,
      '--decrypt-with-file',
      key,
      '--json',
    ])
    assert.equal(ran.code, 1)
    assert.deepEqual(
      [json(ran)['proven'], json(ran)['outcome'], json(ran)['error-code']],
      [false, 'failure', 'not-proven'],
    )
    assert.match(ran.stderr, /The report above has the details/)
    const after = await run(['status', '--storage', `file://${bad}`])
    good(after)
    assert.match(after.stdout, /Newest proven backup\s+none$/m)
    assert.match(after.stdout, /Verification failed:/)
  })
})

test('test-migration: the verdict, and with --json a file with the full result', async () => {
  const rehearsal = ['test-migration', ...storage, '--decrypt-with-file', key]
  const quiet = await run([...rehearsal, '--migrate-command', 'true'])
  good(quiet)
  assert.deepEqual(quiet.left.files, [])
  const ran = await run(
    [
      ...rehearsal,
      '--migrate-command',
      'env; psql -c "ALTER TABLE orders DROP COLUMN total"; printf "\\033[2Jcleared"',
      '--json',
    ],
    { env: { HOLDFAST_TARGET_URL: 'postgres://u:notforthecommand@h/d' } },
  )
  assert.deepEqual(
    ran.left.files.map((name) => join(ran.temporary, name)),
    [json(ran)['report']],
  )
  assert.equal(ran.code, 1, ran.said)
  assert.deepEqual([json(ran)['verdict'], json(ran)['error-code']], ['fail', 'column-dropped'])
  assert.match(ran.stderr, /✗ public\.orders\.total: column-dropped/)
  assert.doesNotMatch(ran.stderr, /notforthecommand|\u001b/)
})

describe('restore', () => {
  test('is refused without a name where nobody can be asked, and with a wrong one', async () => {
    for (const flags of [[], ['--confirm', 'shp']]) {
      const ran = await run([...restore(), ...flags])
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, flags.length === 0 ? /--confirm is empty/ : /--confirm is "shp"/)
      assert.match(
        ran.stderr.replace(/\s+/g, ' '),
        /write its name: --confirm shop\. To see first what would happen, write --dry-run\./,
      )
    }
    assert.deepEqual(await previous(), [])
  })

  test('a dry run prints the plan and touches nothing', async () => {
    await drop()
    const ran = await run([...restore(), '--dry-run'])
    good(ran)
    assert.match(ran.stdout, /Dry run of restoring shop: nothing was changed/)
    assert.match(
      ran.stdout.replace(/\s+/g, ' '),
      /run it again with: │ --dry-run=false --confirm shop /,
    )
    assert.equal(await orders(), false)
    assert.deepEqual(await previous(), [])
  })

  test('confirmed by a flag', async () => {
    await drop()
    const ran = await run([...restore(), '--confirm', 'shop', '--json'])
    good(ran)
    assert.equal(await orders(), true)
    assert.deepEqual(await previous(), [json(ran)['previous-database']])
    assert.equal(await orders(String(json(ran)['previous-database'])), false)
    await server.query('postgres', `DROP DATABASE "${String(json(ran)['previous-database'])}"`)
  })

  const question = /Type shop to start, or press Enter to stop: /
  test('on a terminal: the plan, the question, and the backup that the plan named', async () => {
    await drop()
    const other = newFolder()
    // meanwhile another backup becomes the latest, one without the table
    const newer = async (): Promise<Typed> =>
      run(
        [
          'backup',
          ...storage,
          '--label',
          'production',
          '--encrypt-to',
          recipient,
          '--database-url',
          target,
        ],
        { home: other },
      )
    let made = ''
    const ran = await typed(restore(), {
      home,
      env: { ...s3.env, PGPASSWORD: server.password },
      keys: [
        { when: question, type: '' },
        { when: async () => (made ||= (await newer()).stdout) !== '', type: 'shop\n' },
      ],
    })
    assert.equal(ran.code, 0, ran.said)
    assert.match(stripVTControlCharacters(ran.said), /Plan for shop\r?$/m)
    assert.doesNotMatch(ran.said, /Dry run of/)
    assert.doesNotMatch(ran.said, /Next: to restore, run it again/)
    assert.match(ran.said, /shop.* restored, compared and swapped in/)
    assert.match(ran.said, /\u001b\[1m/, 'a terminal has colours')
    assert.ok(ran.said.includes(`backup-id: ${id}`), 'what was shown is what was restored')
    assert.equal(await orders(), true)
    const [old = ''] = await previous()
    await server.query('postgres', `DROP DATABASE "${old}"`)
    for (const secret of [server.password, identity]) assert.ok(!ran.said.includes(secret))
  })
  test('on a terminal: a wrong name, no name and the end of input are refused', async () => {
    for (const [type, says] of [
      ['shopp\n', /--confirm is "shopp"[^]*^Nothing was changed\.\r?$/m],
      ['\n', /Stopped\. Nothing was changed\./],
      ['\u0004', /Stopped\. Nothing was changed\./],
    ] as const) {
      const ran = await run([...restore(), '--backup', id], {
        keys: [{ when: question, type }],
        env: { NO_COLOR: '1' },
      })
      assert.equal(ran.code, type === 'shopp\n' ? 1 : 130, ran.said)
      assert.match(ran.said, says)
      assert.doesNotMatch(ran.said, /\u001b\[[0-9;]*m/, 'NO_COLOR is heeded')
    }
    assert.deepEqual(await previous(), [])
  })
  test('on a terminal: undo and clean are shown first too, and an environment is typed with the name', async () => {
    await drop()
    good(await run([...restore(), '--confirm', 'shop', '--backup', id]))
    const [old = ''] = await previous()
    const only = ['restore', '--target-url', target]
    const swapped = /Type production\/shop to start, or press Enter to stop: /
    const undone = await run([...only, '--undo', '--environment', 'production'], {
      keys: [{ when: swapped, type: 'production/shop\n' }],
    })
    assert.equal(undone.code, 0, undone.said)
    assert.match(undone.said, /Plan/)
    assert.ok(undone.said.includes(old))
    assert.equal(await orders(), false)
    const wrong = await run([...only, '--undo', '--environment', 'production'], {
      keys: [{ when: swapped, type: 'shop\n' }],
    })
    assert.equal(wrong.code, 1, wrong.said)
    assert.match(
      stripVTControlCharacters(wrong.said).replace(/\s+/g, ' '),
      /--confirm is "shop".*write its name: --confirm production\/shop/,
    )
    assert.equal(await orders(), false)
    const kept = await previous()
    await untilOlderThanASecond(kept[0] ?? '')
    const cleaned = await run([...only, '--clean', '--keep-previous', '1s'], {
      keys: [{ when: question, type: 'shop\n' }],
    })
    assert.equal(cleaned.code, 0, cleaned.said)
    assert.match(cleaned.said, /would be dropped[^]*dropped/)
    assert.deepEqual([kept.length, await previous()], [1, []])
  })
  test('on a terminal: Ctrl-C at the question', async () => {
    const ran = await run([...restore(), '--backup', id], {
      keys: [{ when: question, type: '\u0003' }],
    })
    assert.equal(ran.code, 130, ran.said)
    assert.match(ran.said, /cancelled/)
    assert.deepEqual(await previous(), [])
  })
})

test('restore --list: every label, without a target', async () => {
  const ran = await run(['restore', ...storage, '--list'])
  good(ran)
  assert.match(ran.stdout, /⚠️ production/)
  assert.equal((await run(['restore', ...storage, '--list', '--undo'])).code, 1)
})

describe('status', () => {
  test('each label: the newest, the newest proven, what was never verified', async () => {
    const ran = await run(['status', ...storage])
    good(ran)
    const flat = ran.stdout.replace(/\s+/g, ' ')
    assert.match(
      flat,
      new RegExp(
        /⚠️ production Newest backup \d+ seconds? old: \S+, as of .* UTC; /.source +
          /[\d.]+ KiB, 0 rows in 0 tables, in 2 places/.source,
      ),
    )
    assert.match(
      flat,
      new RegExp(
        `Newest proven backup \\d+ \\w+ old: ${id}, as of .*; [\\d.]+ KiB, 2,000 rows in 1 table, ` +
          'in 2 places; level identical, \\d+ \\w+ ago, restored in',
      ),
    )
    assert.match(
      flat,
      new RegExp(
        /Finished backups 2 backups, [\d.]+ KiB Safety backups \d safety backups?, /.source +
          /[\d.]+ KiB Not yet verified 1 backup, the newest/.source,
      ),
    )
  })
  test('as JSON, from one destination', async () => {
    const ran = await run([
      'status',
      '--storage',
      s3.url('dr'),
      '--label',
      'production',
      '--json',
      '--max-age',
      '7d',
    ])
    good(ran)
    const [label] = json(ran)['labels'] as {
      backups: number
      proven: { id: string; rows: number }
      unproven: string[]
    }[]
    // verify read from the folder, and stored its proof there
    assert.deepEqual([label?.backups, label?.proven, label?.unproven.length], [2, undefined, 2])
  })
  test('--max-age: the label that is too old is marked', async () => {
    const ran = await run(['status', ...storage, '--max-age', '1s'])
    assert.match(ran.stdout, /^❌ production$/m)
    assert.doesNotMatch(ran.stdout, /^(✅|⚠️) production/m)
  })
  test('--max-age: 1, with the figures; also where there is no backup at all', async () => {
    const ran = await run(['status', ...storage, '--max-age', '1s'])
    assert.equal(ran.code, 1)
    assert.match(
      ran.stderr.replace(/\s+/g, ' '),
      new RegExp(
        /The newest backup of production is \d+ seconds? old \(\d{8}T.*, as of .* UTC\), /.source +
          /more than the 1 second of --max-age\./.source,
      ),
    )
    good(await run(['status', ...storage, '--max-age', '26h']))
    assert.equal(
      (await run(['status', '--storage', `file://${newFolder()}`, '--max-age', '26h'])).code,
      1,
    )
    assert.equal(
      (await run(['status', ...storage, '--label', 'other', '--max-age', '26h'])).code,
      1,
    )
    assert.match(
      (await run(['status', ...storage, '--max-age', 'soon'])).stderr,
      /--max-age is "soon", which is not a duration/,
    )
  })
  test('what is damaged or unfinished is named, and no damaged backup counts as the newest', async () => {
    const folder = newFolder()
    const backup = async (): Promise<string> =>
      String(
        json(
          await run([
            'backup',
            '--storage',
            `file://${folder}`,
            '--label',
            'p',
            '--encrypt-to',
            'none',
            '--database-url',
            target,
            '--json',
          ]),
        )['backup-id'],
      )
    const [good1, damaged, unfinished] = [await backup(), await backup(), await backup()]
    const manifest = join(folder, 'p', damaged, 'manifest.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"label": "p"', '"label": "q"'))
    rmSync(join(folder, 'p', unfinished, 'manifest.json'))
    const [label] = json(await run(['status', '--storage', `file://${folder}`, '--json']))[
      'labels'
    ] as {
      newest: { id: string }
      damaged: { id: string }[]
      unfinished: { id: string; bytes: number }[]
    }[]
    assert.deepEqual(
      [
        label?.newest.id,
        label?.damaged.map((each) => each.id),
        label?.unfinished.map((each) => each.id),
      ],
      [good1, [damaged], [unfinished]],
    )
    assert.ok((label?.unfinished[0]?.bytes ?? 0) > 0)
    const ran = await run(['status', '--storage', `file://${folder}`])
    assert.match(
      ran.stdout,
      /Cannot be read:[^]*its digest does not match[^]*Unfinished \(still running, or left by a run that was killed\):/,
    )
    assert.match(ran.stdout, /not encrypted/)
  })
  test('a proof of another manifest proves nothing, nor does one that a later one took back', async () => {
    const folder = newFolder()
    const there = ['--storage', `file://${folder}`]
    const proven = async (): Promise<string | undefined> =>
      (
        json(await run(['status', ...there, '--json']))['labels'] as { proven?: { id: string } }[]
      )[0]?.proven?.id
    good(await run(['backup', ...there, '--encrypt-to', 'none', '--database-url', target]))
    assert.equal(await proven(), undefined)
    good(await run(['verify', ...there]))
    const [file = ''] = globSync(join(folder, '*/*/manifest.json'))
    const whole = readFileSync(file, 'utf8')
    const { sha256, ...manifest } = readManifest(whole, 'of the test')
    assert.equal(await proven(), manifest.id)
    writeFileSync(file, writeManifest({ ...manifest, client: '1.0' }))
    assert.notEqual(readManifest(readFileSync(file, 'utf8'), '').sha256, sha256)
    assert.equal(await proven(), undefined)
    writeFileSync(file, whole)
    const [proof = ''] = globSync(join(folder, '*/*/proofs/*.json'))
    const bad = {
      ...(JSON.parse(readFileSync(proof, 'utf8')) as object),
      proven: false,
      level: 'restored',
      at: '2999-01-01T00:00:00.000Z',
    }
    writeFileSync(proof.replace(/proofs\/\d{8}T/, 'proofs/29990101T'), JSON.stringify(bad))
    assert.equal(await proven(), undefined)
  })
  test('a destination that cannot be read is a warning while another can', async () => {
    const gone = `file://${newFolder()}/gone`
    const ran = await run([
      'status',
      ...storage,
      '--storage',
      's3://backups/x?endpoint=http%3A%2F%2F127.0.0.1%3A9&region=us-east-1',
      '--json',
    ])
    good(ran)
    assert.match(JSON.stringify(json(ran)['warnings']), /could not be read/)
    const nothing = await run(['status', '--storage', gone])
    assert.equal(nothing.code, 1, 'a folder that is misspelt is no good news')
    assert.match(nothing.stderr, /no-backup/)
    assert.equal(
      (
        await run([
          'status',
          '--storage',
          's3://nobucket/x?endpoint=' + encodeURIComponent(s3.endpoint) + '&region=us-east-1',
        ])
      ).code,
      1,
    )
  })
})

describe('before anything is done', () => {
  test('a word that is wrong ends with 1, as JSON too', async () => {
    const ran = await run(['restore', '--targt-url', 'x', '--json'])
    assert.equal(ran.code, 1)
    assert.deepEqual(json(ran), { outcome: 'failure', 'error-code': 'bad-arguments' })
    assert.match(ran.stderr, /Did you mean --target-url\?/)
  })
  test('a password in the command line is refused, and not shown', async () => {
    const ran = await typed(['restore', ...storage, '--target-url', 'postgres://u:hunter22@h/d'], {
      home,
    })
    assert.equal(ran.code, 1)
    assert.match(ran.stderr, /secret-in-arguments/)
    assert.ok(!ran.said.includes('hunter22'))
  })
  test('a weak PGPASSWORD is warned of once', async () => {
    const { host } = server.to('shop')
    const url = `postgres://holdfast@${host}:1/shop`
    const env = { PGPASSWORD: 'short' }
    const { stderr } = await run(['restore', ...storage, '--target-url', url, '--undo'], { env })
    assert.deepEqual(stderr.match(/The password in \S+ is not masked/g), [
      'The password in PGPASSWORD is not masked',
    ])
  })
  test('the version', async () => {
    const ran = await run(['--version'])
    good(ran)
    assert.equal(ran.stdout, `${version}\n`)
  })
  test('help, for all and for each', async () => {
    assert.match(
      (await run(['--help'])).stdout,
      /restore\s+Restore a backup next to the live database/,
    )
    assert.match((await run(['status', '--help'])).stdout, /--max-age …/)
  })
  test('an older Node is told which one is needed', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        '--import',
        'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.9.0"})',
        join(dist, 'cli.js'),
        '--help',
      ],
      { encoding: 'utf8' },
    )
    assert.equal(status, 1)
    assert.match(stderr, /^Holdfast needs Node 24 or newer, and this is /)
  })
})
