import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes. What every run of an action downloads with the repository. */
const limit = 4_000_000

/**
 * Where `eval("require")` may stand: pg asks for its native driver only when a program reads
 * `pg.native`, and we never do.
 */
const knownEvals = [/^eval\("require"\)\("pg-native"\)/]

/**
 * dist/cli.js, whole. It looks at Node's version before anything is imported: an older one could
 * not even read the bundle (zstd in node:zlib), and would say so in words that help nobody. It
 * names the Node 24 that `npm ci` installed (see `findNode` in run.mjs), and does not run it.
 */
export const cliScript = `#!/usr/bin/env node
if (Number.parseInt(process.versions.node, 10) < 24) {
  const { existsSync } = await import('node:fs')
  const { fileURLToPath } = await import('node:url')
  const packaged = ['node', 'node-bin']
    .map((name) => '../node_modules/' + name + '-' + process.platform + '-' + process.arch + '/bin')
    .map((folder) => fileURLToPath(new URL(folder, import.meta.url)))
    .find((folder) => existsSync(folder + '/node'))
  console.error('Holdfast needs Node 24 or newer, and this is ' + process.version + '.')
  console.error(
    packaged
      ? 'npm installed one with the dependencies. Type:  export PATH="' + packaged + ':$PATH"'
      : 'Install it from https://nodejs.org/en/download.',
  )
  console.error('Then type the same command again.')
  process.exit(1)
}
const { cli } = await import('./index.js')
await cli(process.argv.slice(2), process.env)
`

/**
 * What would break a bundle on a runner although the bundler was content with it, as sentences;
 * none when all is well. ncc exits 0 when a module is missing, and leaves `eval("require")` where a
 * package hides a require from bundlers.
 */
export function checkBundle(dist: string): string[] {
  const names = readdirSync(dist).sort()
  const bytes = names.reduce((sum, name) => sum + statSync(join(dist, name)).size, 0)
  return [
    ...names
      .filter((name) => /\.(?:m|c)?js$/.test(name))
      .flatMap((name) => checkScript(name, readFileSync(join(dist, name), 'utf8'))),
    ...(names.includes('cli.js') ? [] : ['cli.js is missing']),
    ...(names.includes('licenses.txt') ? [] : ['licenses.txt is missing']),
    ...(bytes > limit ? [`dist is ${bytes} bytes, over the ${limit} that we allow`] : []),
  ]
}

function checkScript(name: string, text: string): string[] {
  const faults: string[] = []
  const missing = text.search(/webpackMissingModule/)
  if (missing >= 0) faults.push(`${name}: a module is missing (${around(text, missing)})`)
  for (const { index } of text.matchAll(/\beval\)?\(\s*["'`]require["'`]/g)) {
    if (knownEvals.some((known) => known.test(text.slice(index)))) continue
    faults.push(
      `${name}: an eval of require, which an ES module does not have (${around(text, index)})`,
    )
  }
  return faults
}

function around(text: string, index: number): string {
  return text.slice(Math.max(0, index - 80), index + 120).replaceAll('\n', ' ')
}
