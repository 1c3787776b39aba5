import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import packages from '../../scripts/go-tools.json' with { type: 'json' }

const cache = join(dirname(dirname(import.meta.dirname)), '.cache/go/bin')

/**
 * Returns the path of a program that tests use: from PATH, else from the project's cache, else
 * built now with Go into that cache, in its pinned version (act takes about 40 s). Returns
 * undefined where there is no Go.
 */
export function goTool(name: keyof typeof packages): string | undefined {
  const found = [...(process.env.PATH ?? '').split(delimiter), cache]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
  if (found !== undefined || spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0)
    return found
  console.log(`Building ${packages[name]} with Go, once, into ${cache}`)
  mkdirSync(cache, { recursive: true })
  const { status, stderr } = spawnSync('go', ['install', packages[name]], {
    env: { ...process.env, GOBIN: cache, GOFLAGS: '' },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`go install ${packages[name]} failed:\n${stderr}`)
  return join(cache, name)
}
