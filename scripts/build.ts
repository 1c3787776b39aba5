/**
 * Makes dist/, the one bundle that all actions run from: `npm run build`, or `npm run build --
 * --out DIR` to compare.
 *
 * The same source and lock give the same bytes, in whatever folder. What is built is tried in a
 * folder that has nothing but dist/ and actions/, as on a runner, before it replaces what was
 * there.
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { minify } from 'terser'
import { checkBundle, cliScript } from './bundle-rules.ts'

const root = dirname(import.meta.dirname)
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'dist') } } })
const stage = mkdtempSync(join(tmpdir(), 'build-'))
try {
  const dist = join(stage, 'dist')
  bundle(dist)
  await shrink(dist)
  const faults = [...checkBundle(dist), ...tryActions(stage), ...tryCommandLine(dist, stage)]
  if (faults.length > 0) {
    for (const fault of faults) console.error(`build: ${fault}`)
    process.exitCode = 1
  } else {
    publish(dist, resolve(values.out))
  }
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  rmSync(stage, { recursive: true, force: true })
}

/** TypeScript to build/, and from there everything that it needs to `dist`. */
function bundle(dist: string): void {
  rmSync(join(root, 'build'), { recursive: true, force: true })
  run('typescript/bin/tsc', '-p', 'tsconfig.build.json')
  run(
    '@vercel/ncc/dist/ncc/cli.js',
    'build',
    'build/index.js',
    '-o',
    dist,
    '--no-cache',
    '--quiet',
    '--license',
    'licenses.txt',
    '--target',
    'es2022',
  )
  writeFileSync(join(dist, 'package.json'), '{"type":"module"}\n')
  writeFileSync(join(dist, 'cli.js'), cliScript, { mode: 0o755 })
}

/** ncc's own --minify leaves out the chunks that are loaded when needed. */
async function shrink(dist: string): Promise<void> {
  for (const name of scripts(dist).filter((each) => each !== 'cli.js')) {
    const path = join(dist, name)
    const { code } = await minify(readFileSync(path, 'utf8'), {
      module: true,
      ecma: 2020,
      format: { comments: false },
    })
    if (code === undefined) throw new Error(`terser gave nothing for ${name}`)
    writeFileSync(path, `${code}\n`)
  }
}

/**
 * Runs each action once without any input: it has to say in our own words what is missing, and its
 * post step has to find nothing to do.
 */
function tryActions(folder: string): string[] {
  cpSync(join(root, 'actions'), join(folder, 'actions'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n')
  return globSync('actions/{,*/}main.js', { cwd: folder })
    .sort()
    .flatMap((script) => {
      const main = runAction(join(folder, script), folder)
      const code = /^error-code(?:=|<<.*\n)([a-z][a-z0-9-]*)$/m.exec(main.outputs)?.[1]
      const spoke =
        main.code === 1 && code !== undefined && code !== 'internal' && /^::error/m.test(main.log)
      const postScript = script.replace('main.js', 'post.js')
      const post = existsSync(join(folder, postScript))
        ? runAction(join(folder, postScript), folder)
        : undefined
      return [
        ...(spoke
          ? []
          : [
              `${script} without inputs ended with ${main.code} (${code ?? 'no error-code'}), ` +
                `not with 1 and an error of ours:\n${main.log}`,
            ]),
        ...(post === undefined || post.code === 0
          ? []
          : [`${postScript} with nothing to do ended with ${post.code}:\n${post.log}`]),
      ]
    })
}

/**
 * The command line has to show its help without anything around it, and to say in our own words
 * what is wrong with it.
 */
function tryCommandLine(dist: string, folder: string): string[] {
  const runs: [string[], number, RegExp][] = [
    [['--help'], 0, /restore/],
    [['restore', '--targt-url=x'], 1, /--target-url/],
  ]
  return runs.flatMap(([args, code, says]) => {
    const ran = spawnSync(process.execPath, [join(dist, 'cli.js'), ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder },
      encoding: 'utf8',
      timeout: 60_000,
    })
    const said = ran.stdout + ran.stderr
    return ran.status === code && says.test(said)
      ? []
      : [
          `cli.js ${args.join(' ')} ended with ${ran.status}, ` +
            `not with ${code} and a mention of ${says}:\n${said}`,
        ]
  })
}

function runAction(
  script: string,
  folder: string,
): { code: number | null; log: string; outputs: string } {
  const temp = mkdtempSync(join(folder, 'run-'))
  const files = Object.fromEntries(
    ['OUTPUT', 'STATE', 'ENV', 'PATH', 'STEP_SUMMARY', 'EVENT_PATH'].map((name) => [
      `GITHUB_${name}`,
      join(temp, name),
    ]),
  )
  for (const [name, path] of Object.entries(files))
    writeFileSync(path, name === 'GITHUB_EVENT_PATH' ? '{}' : '')
  const env = {
    PATH: process.env.PATH,
    HOME: temp,
    RUNNER_TEMP: temp,
    GITHUB_ACTIONS: 'true',
    GITHUB_WORKSPACE: temp,
    ...files,
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    cwd: temp,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { code: status, log: stdout + stderr, outputs: readFileSync(join(temp, 'OUTPUT'), 'utf8') }
}

function publish(dist: string, out: string): void {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(dirname(out), { recursive: true })
  cpSync(dist, out, { recursive: true })
  const bytes = readdirSync(out).reduce((sum, name) => sum + statSync(join(out, name)).size, 0)
  console.log(
    `${out}: ${readdirSync(out).length} files, ${megabytes(bytes)}; ` +
      `the entry is ${megabytes(statSync(join(out, 'index.js')).size)}`,
  )
}

function scripts(dist: string): string[] {
  return readdirSync(dist)
    .filter((name) => /\.(?:m|c)?js$/.test(name))
    .sort()
}

function run(script: string, ...args: string[]): void {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error(`${script} ended with ${status}; what it said is above`)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`
}
