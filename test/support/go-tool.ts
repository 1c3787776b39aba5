import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The programs of others that tests use, by the Go package that makes them. */
const packages = {
  actionlint: 'github.com/rhysd/actionlint/cmd/actionlint@latest',
  act: 'github.com/nektos/act@latest',
} as const

const cache = join(dirname(dirname(import.meta.dirname)), '.cache/go/bin')

/**
 * The path of a program: on PATH, else built before, else built now with Go into the project's
 * cache (act takes about 40 s). Undefined where there is no Go.
 */
export function goTool(name: keyof typeof packages): string | undefined {
  const found = [...(process.env.PATH ?? '').split(delimiter), cache]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
  if (found !== undefined || spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0)
    return found
  console.log(`Building ${name} with Go, once, into ${cache}`)
  mkdirSync(cache, { recursive: true })
  const { status, stderr } = spawnSync('go', ['install', packages[name]], {
    env: { ...process.env, GOBIN: cache, GOFLAGS: '' },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`go install ${packages[name]} failed:\n${stderr}`)
  return join(cache, name)
}
