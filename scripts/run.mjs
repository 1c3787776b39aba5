#!/usr/bin/env node
// The way in from a fresh clone, on any Node from 20 on: `node scripts/run.mjs TASK [arguments]`.
// Installs the dependencies, finds Node 24 and PostgreSQL, then runs the task's script with that
// Node first on PATH. The task `prepare` does no more than that.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPostgres } from './postgres-programs.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** @type {Record<string, { script?: string, arguments?: string[], postgres: boolean }>} */
const tasks = {
  demo: { script: 'scripts/demo.ts', postgres: true },
  bench: { script: 'scripts/bench.ts', postgres: true },
  test: { script: 'scripts/test.ts', postgres: true },
  'test:unit': { script: 'scripts/test.ts', arguments: ['--unit'], postgres: false },
  'test:runner': { script: 'scripts/test.ts', arguments: ['--runner'], postgres: true },
  build: { script: 'scripts/build.ts', postgres: false },
  generate: { script: 'scripts/generate.ts', postgres: false },
  lint: { script: 'scripts/lint.ts', postgres: false },
  mutate: { script: 'scripts/mutate.ts', postgres: true },
  prepare: { postgres: true },
}

const [name = '', ...rest] = process.argv.slice(2)
const task = tasks[name]
if (task === undefined) stop(`Which one? node scripts/run.mjs ${Object.keys(tasks).join(' | ')}`)

installDependencies()
const node = findNode()
/** @type {NodeJS.ProcessEnv} */
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` }
if (task.postgres)
  env.HOLDFAST_TEST_BINDIRS = postgres()
    .map(({ bindir }) => bindir)
    .join(':')
if (task.script !== undefined)
  runTask(node, [join(root, task.script), ...(task.arguments ?? []), ...rest], env)
else console.log(`Node: ${node}\nPostgreSQL programs: ${env.HOLDFAST_TEST_BINDIRS}`)

/** Installs what the lock names, unless it is all there in the same versions. */
function installDependencies() {
  const wanted = packagesOf(join(root, 'package-lock.json'))
  const present = packagesOf(join(root, 'node_modules', '.package-lock.json'))
  const missing = Object.entries(wanted).filter(
    ([path, { version, optional }]) =>
      path !== '' &&
      !(optional && present[path] === undefined) &&
      present[path]?.version !== version,
  )
  if (missing.length === 0) return
  console.log(
    `Installing dependencies (npm ci): ${missing.length} of ${Object.keys(wanted).length - 1} ` +
      'packages are missing or have another version.',
  )
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0)
    stop(
      'npm ci failed; its message is above. Fix the cause (network, registry, disk space), ' +
        'then type the same command again.',
    )
}

/**
 * @param {string} lock
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function packagesOf(lock) {
  return existsSync(lock) ? JSON.parse(readFileSync(lock, 'utf8')).packages : {}
}

/** This Node if it is new enough, else the one that came with the dependencies. */
function findNode() {
  if (Number.parseInt(process.versions.node, 10) >= 24) return process.execPath
  const packaged = ['node', 'node-bin']
    .map((name) =>
      join(root, 'node_modules', `${name}-${process.platform}-${process.arch}`, 'bin', 'node'),
    )
    .find((path) => existsSync(path))
  if (packaged !== undefined) return packaged
  stop(
    `This needs Node 24; you have ${process.version}. No packaged Node fits ` +
      `${process.platform}-${process.arch}, or npm left optional packages out.\n` +
      'Install Node 24 (https://nodejs.org/en/download), then type the same command again.',
  )
}

/** PostgreSQL's programs, found; on a Debian-like system with root: installed. */
function postgres() {
  const found = findPostgres(process.env)
  if (found.length > 0) return found
  const debian = existsSync('/etc/debian_version')
  if (debian && process.getuid?.() === 0) {
    console.log(
      "No PostgreSQL 15 or newer: installing the distribution's `postgresql` package " +
        '(without a cluster, without recommended packages).',
    )
    installPostgres()
    const installed = findPostgres(process.env)
    if (installed.length > 0) return installed
    stop(
      "The distribution's PostgreSQL is older than 15. Install a newer one, " +
        'or name its folder of programs in HOLDFAST_TEST_BINDIRS.',
    )
  }
  const command = debian
    ? 'sudo apt-get install -y --no-install-recommends postgresql'
    : process.platform === 'darwin'
      ? 'brew install postgresql@18'
      : existsSync('/etc/redhat-release')
        ? 'sudo dnf install -y postgresql-server'
        : undefined
  stop(
    'No PostgreSQL 15 or newer was found under /usr/lib/postgresql, /usr/pgsql-*, ' +
      '/opt/postgres, Homebrew or PATH.\n' +
      (command === undefined
        ? 'Install server and client programs, or name their folder in HOLDFAST_TEST_BINDIRS.'
        : `Type:  ${command}`),
  )
}

function installPostgres() {
  // written before the package arrives, so that its set-up starts no cluster on port 5432
  const config = '/etc/postgresql-common/createcluster.conf'
  if (!existsSync(config)) {
    mkdirSync(dirname(config), { recursive: true })
    writeFileSync(config, 'create_main_cluster = false\n')
  }
  apt('update')
  if (
    apt(
      'install',
      '-y',
      '-o',
      'Dpkg::Options::=--force-confold',
      '--no-install-recommends',
      'postgresql',
    ) !== 0
  ) {
    stop('apt-get could not install postgresql; its message is above.')
  }
}

/** @param {string[]} args */
function apt(...args) {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync('apt-get', ['-qq', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: environment,
  }).status
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} environment
 */
function runTask(program, args, environment) {
  const child = spawn(program, args, { cwd: root, env: environment, stdio: 'inherit' })
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) =>
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
  )
}

/**
 * @param {string} message
 * @returns {never}
 */
function stop(message) {
  console.error(message)
  process.exit(1)
}
