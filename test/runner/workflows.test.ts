/**
 * The project's own workflows and its composite action, as a user's repository would run them, by a
 * runner that is not ours.
 */
import assert from 'node:assert/strict'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGitHubApi } from '../github/github-api.ts'
import { type ActOptions, type ActRun, cloneForAct, runAct } from '../support/act.ts'
import { goTool } from '../support/go-tool.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import { freshDatabase, newestServer, query } from '../support/servers.ts'

const act = goTool('act')
const server = newestServer()
const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, total numeric(12, 2));
  INSERT INTO customers SELECT n, 'Customer ' || n FROM generate_series(1, 500) AS n;
  INSERT INTO orders (customer, total) SELECT 1 + n % 500, n / 7.0 FROM generate_series(1, 20000) AS n`
/** What the workflows' service containers have for a password and publish for a port. */
const promised = { password: 'only-for-this-job', port: 55432 }
/** As a user would write it: the composite action in a workflow of their own. */
const composite = `
on: workflow_dispatch
permissions: { contents: read }
jobs:
  nightly:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - id: nightly
        uses: ./actions/nightly
        env:
          PGHOST: \${{ vars.PGHOST }}
          PGPORT: \${{ vars.PGPORT }}
          PGUSER: \${{ vars.PGUSER }}
          PGDATABASE: \${{ vars.PGDATABASE }}
          PGPASSWORD: \${{ secrets.PGPASSWORD }}
        with:
          storage: \${{ vars.STORAGE }}
          encrypt-to: none
          scratch-url: \${{ secrets.SCRATCH_URL }}
      - env:
          SEEN: >-
            \${{ steps.nightly.outputs.proven }} \${{ steps.nightly.outputs.level }}
            \${{ steps.nightly.outputs.outcome }} \${{ steps.nightly.outputs.rows }}
        run: echo "SEEN=$SEEN"
`

describe(
  'under act',
  { skip: act === undefined && 'NOT SHOWN: neither act nor Go is here' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-act-'))
    let s3: RunningS3
    let service: Server | undefined
    let database: Awaited<ReturnType<typeof freshDatabase>>
    let clone: string
    let identity: string
    let recipient: string
    const run = (options: Omit<ActOptions, 'act' | 'folder' | 'path'>): Promise<ActRun> => {
      const own = mkdtempSync(join(folder, 'run-'))
      // psql and the like, for migrations and steps
      return runAct(clone, { ...options, act: act ?? '', folder: own, path: [server.bindir] })
    }
    const shared = (): Pick<ActOptions, 'secrets' | 'variables'> => ({
      secrets: {
        DATABASE_URL: database.url,
        DECRYPT_WITH: identity,
        ...s3.env,
        GITHUB_TOKEN: 'a-token-for-the-test',
      },
      variables: {
        HOLDFAST_STORAGE: s3.url('nightly'),
        HOLDFAST_LABEL: 'production',
        HOLDFAST_ENCRYPT_TO: recipient,
      },
    })

    before(async () => {
      s3 = await startS3(['backups'])
      database = await freshDatabase(server, { name: 'shop', sql: shop })
      identity = await generateIdentity()
      recipient = await identityToRecipient(identity)
      clone = cloneForAct(folder, { 'composite.yml': composite })
      service = await standInForService()
    })
    after(async () => {
      await new Promise((resolve) => (service ? service.close(resolve) : resolve(undefined)))
      await (s3 as RunningS3 | undefined)?.stop()
      rmSync(folder, { recursive: true, force: true })
    })

    test('nightly.yml backs up and proves the backup', async () => {
      const { code, log, outputs } = await run({
        ...shared(),
        workflow: 'nightly.yml',
        event: 'workflow_dispatch',
      })
      assert.equal(code, 0, log)
      assert.equal(outputs.level, 'identical')
      assert.equal(outputs.proven, 'true')
      assert.match(outputs['backup-id'] ?? '', /^\S{10,}$/)
      for (const secret of [database.connection.password, identity, s3.env.AWS_SECRET_ACCESS_KEY])
        assert.ok(!log.includes(secret ?? ''), 'a secret is in the log')
    })

    describe('migration-check.yml on a pull request', () => {
      const pull = (repository: string): unknown => ({
        action: 'synchronize',
        number: 7,
        pull_request: {
          number: 7,
          head: { ref: 'change', sha: '1'.repeat(40), repo: { full_name: repository } },
          base: { ref: 'main', repo: { full_name: 'acme/shop' } },
        },
        repository: { full_name: 'acme/shop' },
      })
      const check = async (migrate: string, repository = 'acme/shop') => {
        const api = await startGitHubApi()
        try {
          const { secrets, variables } = shared()
          const ended = await run({
            workflow: 'migration-check.yml',
            event: 'pull_request',
            payload: pull(repository),
            secrets: secrets ?? {},
            variables: { ...variables, HOLDFAST_MIGRATE_COMMAND: migrate },
            env: { GITHUB_API_URL: api.url },
          })
          return { ...ended, api }
        } finally {
          await api.close()
        }
      }

      test('a safe migration passes, and the report is one comment', async () => {
        const { code, log, outputs, api } = await check(
          `psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -c 'ALTER TABLE orders ADD paid boolean'`,
        )
        assert.equal(code, 0, log)
        assert.equal(outputs.verdict, 'pass')
        assert.deepEqual(api.offences, [])
        assert.equal(api.comments.length, 1, log)
        assert.match(api.comments[0]?.body ?? '', /orders/)
      })

      test('a harmful migration fails the job, and the comment names what is lost', async () => {
        const { code, log, outputs, api } = await check(
          `psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -c 'ALTER TABLE orders DROP total'`,
        )
        assert.equal(code, 1, log)
        assert.equal(outputs.verdict, 'fail')
        assert.match(api.comments[0]?.body ?? '', /total[\s\S]*20,?000|20,?000[\s\S]*total/)
      })

      test('a pull request of a fork, which gets no secrets, runs nothing', async () => {
        const { code, log, api } = await check('exit 1', 'someone/shop')
        assert.equal(code, 0, log)
        assert.deepEqual(api.requests, [])
        assert.doesNotMatch(log, /test-migration/)
      })

      test('no scratch database is left on the service', async () => {
        const names = (await query(server, 'postgres', 'SELECT datname FROM pg_database')).map(
          ({ datname }) => String(datname),
        )
        assert.deepEqual(
          names.filter((name) => !/^(?:postgres|template[01]|test_\w+|template_\w+)$/.test(name)),
          [],
        )
      })
    })

    test('the composite action passes its inputs on, and its outputs back', async () => {
      const { host, port, user, password = '' } = database.connection
      const backups = join(folder, 'backups')
      mkdirSync(backups)
      const { code, log } = await run({
        workflow: 'composite.yml',
        event: 'workflow_dispatch',
        secrets: {
          PGPASSWORD: password,
          SCRATCH_URL: `postgres://postgres:${promised.password}@127.0.0.1:${promised.port}/postgres`,
        },
        variables: {
          PGHOST: host,
          PGPORT: String(port),
          PGUSER: user,
          PGDATABASE: database.name,
          STORAGE: `file://${backups}`,
        },
      })
      assert.equal(code, 0, log)
      assert.match(log, /SEEN=true identical success 20500/)
      assert.deepEqual(
        readdirSync(backups).filter((name) => !name.startsWith('.')),
        [database.name],
      )
    })

    test("ci.yml's job runs all four actions and sees what it should", async () => {
      // the service of that job is empty when it begins
      const { code, log } = await run({
        workflow: 'ci.yml',
        job: 'actions',
        event: 'push',
        payload: { ref: 'refs/heads/main' },
      })
      await query(server, 'postgres', 'DROP DATABASE IF EXISTS shop WITH (FORCE)')
      for (const { datname } of await query(
        server,
        'postgres',
        "SELECT datname FROM pg_database WHERE datname LIKE 'shop%'",
      ))
        await query(server, 'postgres', `DROP DATABASE "${String(datname)}" WITH (FORCE)`)
      assert.equal(code, 0, log)
    })
  },
)

/**
 * act starts no service containers: the port that they would publish leads to one of our servers,
 * with their password.
 */
async function standInForService(): Promise<Server> {
  await query(
    server,
    'postgres',
    `
    DO $$ BEGIN CREATE ROLE postgres SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
    ALTER ROLE postgres PASSWORD '${promised.password}'`,
  )
  const { host, port } = server.connection
  const proxy = createServer((client) => {
    const upstream = connect(port, host)
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  // the port is one that the system also gives to outgoing connections: such a one ends soon
  for (let attempt = 1; ; attempt++) {
    try {
      await listenOn(proxy, promised.port)
      return proxy
    } catch (cause) {
      if (attempt === 120)
        throw new Error(
          `Port ${promised.port} of this machine is taken, and the workflows' service needs it.`,
          { cause },
        )
      await sleep(1000)
    }
  }
}

function listenOn(proxy: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    proxy.once('error', reject)
    proxy.listen(port, '127.0.0.1', () => {
      proxy.off('error', reject)
      resolve()
    })
  })
}
