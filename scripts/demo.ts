/**
 * Shows Holdfast on real data, in one command: `npm run demo`. Backs up a live database, proves the
 * backup, rehearses two migrations, loses a table and restores it. Runs the committed bundle as a
 * runner would. Exits with 1 at the first unexpected result, and leaves nothing behind, also when
 * it is stopped.
 */
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../src/errors.ts'
import type { ActionRun } from '../test/support/mini-runner.ts'
import { openStage, type Stage } from './demo/stage.ts'
import { Story, Unexpected } from './demo/story.ts'

const began = Date.now()
const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => stopping.abort(new Error(`Stopped by ${name}.`)))

const colour = process.stdout.isTTY && !process.env.NO_COLOR
const story = new Story({ width: Math.min(process.stdout.columns || 110, 130), colour }, (text) =>
  process.stdout.write(text),
)

async function main(): Promise<number> {
  let stage: Stage | undefined
  let failure: unknown
  try {
    story.say('# Holdfast, from a live database to a table that came back')
    stage = await story.step('A live database', start)
    await tell(stage)
  } catch (error) {
    failure = error
  }
  const left = (await stage?.close()) ?? []
  if (failure !== undefined) return fail(failure, left)
  story.expect(
    left.length === 0,
    `Nothing was left running or on disk${left.length > 0 ? `: ${left.join(', ')}` : '.'}`,
  )
  story.close(Date.now() - began)
  return 0
}

function fail(failure: unknown, left: string[]): number {
  const shown = stopping.signal.aborted ? (stopping.signal.reason as unknown) : failure
  const expected = stopping.signal.aborted || failure instanceof Unexpected
  const reason = !expected && failure instanceof Error ? failure.stack : messageOf(shown)
  console.error(
    `\n✗ ${reason}\n  ` +
      (left.length === 0
        ? 'Nothing was left running or on disk.'
        : `Left behind: ${left.join(', ')}`),
  )
  return 1
}

async function start(): Promise<Stage> {
  const stage = await openStage(stopping.signal)
  const others =
    stage.others.length === 0 ? '' : `, the newest found (also here: ${stage.others.join(', ')})`
  const store =
    stage.s3.kind === 'stand-in'
      ? 'an S3 stand-in from npm (there is no versitygw on PATH, so refusals to overwrite are not shown)'
      : stage.s3.kind
  story.say(
    [
      `- PostgreSQL ${stage.postgres.version}${others}`,
      `- S3: ${store}; and a folder as the second destination`,
      '- Database **atlas**: cities, regions and districts of the world (GeoNames), flights, airports, earthquakes',
    ].join('\n'),
  )
  return stage
}

async function tell(stage: Stage): Promise<void> {
  const { act, query, s3, backups, workspace } = stage
  const identity = await generateIdentity()
  const recipient = await identityToRecipient(identity)
  const [folder, bucket] = [`file://${backups}`, s3.url('demo')]
  const opened = { label: 'atlas', 'decrypt-with': identity }
  const seen: ActionRun[] = []
  const perform = async (name: string, inputs: Record<string, string>): Promise<ActionRun> => {
    const run = await act(name, inputs)
    seen.push(run)
    story.summary(run)
    return run
  }
  const before = await contents(stage)

  const id = await story.step('backup: encrypted, to S3 and to a folder', async () => {
    const run = await perform('backup', {
      'database-url': stage.url('atlas'),
      storage: `${bucket}\n${folder}`,
      label: 'atlas',
      'encrypt-to': recipient,
    })
    story.expect(run.code === 0 && run.outputs.outcome === 'success', 'The backup was made.', run)
    story.expect(
      Number(run.outputs.rows) === before.rows,
      `It holds all ${count(before.rows)} rows, as SQL counts them.`,
      run,
    )
    const stored = [join(s3.root, 'backups'), backups].map((root) => encryptedFiles(root))
    story.expect(
      stored.every((archives) => archives > 0),
      'Each destination has a manifest, and archives that are age files.',
      run,
    )
    return run.outputs['backup-id'] ?? ''
  })

  await story.step('verify: restored from S3 into a scratch server, and compared', async () => {
    const run = await perform('verify', { storage: bucket, backup: id, ...opened })
    story.expect(
      run.code === 0 && run.outputs.proven === 'true' && run.outputs.level === 'identical',
      'The backup is proven: what it restores to is identical.',
      run,
    )
  })

  await story.step('test-migration: a safe one', async () => {
    const command = migration(workspace, '0001-airlines.sql', safe)
    const run = await perform('test-migration', {
      storage: bucket,
      backup: id,
      ...opened,
      'migrate-command': command,
    })
    story.expect(
      run.code === 0 && run.outputs.verdict === 'pass',
      'The safe migration passed.',
      run,
    )
  })

  await story.step('test-migration: a harmful one', async () => {
    const command = migration(workspace, '0002-tidy-up.sql', harmful)
    const run = await perform('test-migration', {
      storage: bucket,
      backup: id,
      ...opened,
      'migrate-command': command,
    })
    story.expect(
      run.code === 1 && run.outputs.verdict === 'fail',
      'The harmful migration failed.',
      run,
    )
    const states = count(before.states)
    story.expect(
      run.summary.includes('airports.state') && run.summary.includes(states),
      `The report says why: ${states} values of airports.state would be lost.`,
      run,
    )
    story.expect(
      same(before, await contents(stage)),
      'Both were rehearsed on copies: the live database is as it was.',
      run,
    )
  })

  await story.step('A disaster', async () => {
    story.say('`DROP TABLE cities CASCADE;` on the live database.')
    await query('atlas', 'DROP TABLE cities CASCADE')
    const [gone] = await query(
      'atlas',
      `SELECT to_regclass('cities') IS NULL AND to_regclass('places') IS NULL
        AND to_regclass('cities_a_country') IS NULL AS gone`,
    )
    story.expect(
      gone?.gone === true,
      `The table cities is gone (${count(before.cities)} rows), and with it two views.`,
    )
  })

  const target = { storage: folder, backup: id, ...opened, 'target-url': stage.url('atlas') }
  await story.step('restore: a dry run, from the folder', async () => {
    const run = await perform('restore', { ...target, 'dry-run': 'true', confirm: 'atlas' })
    const [gone] = await query(
      'atlas',
      `SELECT to_regclass('cities') IS NULL AS gone,
        (SELECT count(*)::int FROM pg_database WHERE datname LIKE '%atlas%') AS databases`,
    )
    story.expect(
      run.code === 0 && gone?.gone === true && gone.databases === 1,
      'The dry run printed the plan and touched nothing.',
      run,
    )
  })

  await story.step('restore: next to the live database, proven, swapped in', async () => {
    const run = await perform('restore', { ...target, confirm: 'atlas' })
    story.expect(run.code === 0, 'The restore succeeded.', run)
    story.expect(
      same(before, await contents(stage)),
      `cities is back: ${count(before.cities)} rows with the same content, ` +
        'its views, keys, trigger, sequence and grants.',
      run,
    )
    const previous = run.outputs['previous-database'] ?? ''
    const [old] = await query(
      previous || 'atlas',
      "SELECT to_regclass('cities') IS NULL AS without, (SELECT count(*)::int FROM flights) AS flights",
    )
    story.expect(
      previous !== '' && old?.without === true && old.flights === before.flights,
      `The database as it was before is kept, as ${previous}.`,
      run,
    )
  })

  await story.step('undo: the restore is undone, and then redone', async () => {
    const there = async (): Promise<unknown> =>
      (await query('atlas', "SELECT to_regclass('cities') IS NOT NULL AS there"))[0]?.there
    const back = { 'target-url': stage.url('atlas'), confirm: 'atlas', undo: 'true' }
    const taken = await perform('restore', back)
    story.expect(
      taken.code === 0 && (await there()) === false,
      'The database is as it was before the restore: cities is gone again.',
      taken,
    )
    const again = await perform('restore', back)
    story.expect(
      again.code === 0 && same(before, await contents(stage)),
      'A second undo brings the restored database back, with cities.',
      again,
    )
  })

  await story.step('One table: dropped and restored, next to tables with newer rows', async () => {
    await query(
      'atlas',
      `DROP TABLE flights CASCADE;
       UPDATE airports SET name = name || ' (renamed)'
       WHERE iata = (SELECT min(iata) FROM airports)`,
    )
    const run = await perform('restore', {
      ...target,
      tables: 'public.flights',
      replace: 'true',
      confirm: 'atlas',
    })
    const [now] = await query(
      'atlas',
      `SELECT (SELECT count(*)::int FROM flights) AS flights,
        (SELECT count(*)::int FROM airports WHERE name LIKE '% (renamed)') AS newer`,
    )
    story.expect(
      run.code === 0 && now?.flights === before.flights && now.newer === 1,
      `flights is back with its ${count(before.flights)} rows; newer rows in another table stay.`,
      run,
    )
  })

  const said = seen
    .map(({ log, summary, outputs }) => `${log}\n${summary}\n${JSON.stringify(outputs)}`)
    .join('\n')
  const password = decodeURIComponent(new URL(stage.url('atlas')).password)
  story.expect(
    password !== '' &&
      ![identity, password, s3.env.AWS_SECRET_ACCESS_KEY].some((secret) => said.includes(secret)),
    'No log and no summary has the private key, a password or the S3 secret.',
  )
  story.expect(
    seen.every(({ postCode, leftOpen }) => (postCode ?? 0) === 0 && !leftOpen) &&
      stage.leftovers().length === 0,
    'No action left a process or a temporary file.',
  )
}

const safe = `CREATE TABLE airlines (code text PRIMARY KEY, name text NOT NULL);
ALTER TABLE flights ADD COLUMN airline text REFERENCES airlines;
CREATE INDEX earthquakes_by_time ON earthquakes (at);
`
const harmful = `-- tidy up
ALTER TABLE airports DROP COLUMN state;
`

/** Writes a migration into the workspace, shows it, and returns the command that runs it. */
function migration(workspace: string, file: string, sql: string): string {
  writeFileSync(join(workspace, file), sql)
  story.say(`\`\`\`sql\n${sql.trim()}\n\`\`\`\n`)
  return `psql -X -q -v ON_ERROR_STOP=1 --single-transaction -f ${file}`
}

/**
 * Returns what must be the same before and after: the count of all rows, the content of cities, and
 * the objects that depend on cities.
 */
async function contents({
  query,
}: Stage): Promise<
  Record<'rows' | 'cities' | 'flights' | 'states', number> & Record<string, unknown>
> {
  const tables = await query(
    'atlas',
    `SELECT oid::regclass::text AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
     ORDER BY 1`,
  )
  const sum = tables.map(({ name }) => `(SELECT count(*) FROM ${String(name)})`).join(' + ')
  const [row] = await query(
    'atlas',
    `SELECT (${sum})::int AS rows, ${tables.length} AS tables,
    (SELECT count(*)::int FROM cities) AS cities,
    (SELECT count(*)::int FROM flights) AS flights, (SELECT count(state)::int FROM airports) AS states,
    (SELECT md5(string_agg(c::text, chr(10) ORDER BY id)) FROM cities c) AS content,
    (SELECT sum(cities)::int FROM cities_a_country) AS summed,
    (SELECT count(*)::int FROM places) AS places, (SELECT last_value::int FROM city_numbers) AS sequence,
    (SELECT string_agg(conname || pg_get_constraintdef(oid), ' ' ORDER BY conname)
      FROM pg_constraint WHERE 'cities'::regclass IN (conrelid, confrelid)) AS keys,
    (SELECT string_agg(pg_get_indexdef(indexrelid), ' ' ORDER BY indexrelid::regclass::text)
      FROM pg_index WHERE indrelid = 'cities'::regclass) AS indexes,
    (SELECT string_agg(pg_get_triggerdef(oid), ' ' ORDER BY tgname)
      FROM pg_trigger WHERE tgrelid = 'cities'::regclass AND NOT tgisinternal) AS triggers,
    has_table_privilege('atlas_reader', 'cities', 'SELECT') AS granted, (SELECT md5(lo_get(content)) FROM maps) AS map`,
  )
  return row as Awaited<ReturnType<typeof contents>>
}

function same(before: object, after: object): boolean {
  return JSON.stringify(before) === JSON.stringify(after)
}

/**
 * Returns the number of archives in a destination; 0 unless it has a manifest and each archive
 * begins as an age file does.
 */
function encryptedFiles(root: string): number {
  // the stand-in appends a suffix to each name
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((file) => ({
    file,
    name: file.replace(/\._S3rver_object$/, ''),
  }))
  const archives = files.filter(({ name }) => /\.dump(\.zst)?\.age$/.test(name))
  const sealed = archives.every(
    ({ file }) =>
      readFileSync(join(root, file)).subarray(0, 21).toString('latin1') === 'age-encryption.org/v1',
  )
  return sealed && files.some(({ name }) => name.endsWith('/manifest.json')) ? archives.length : 0
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

process.exitCode = await main()
