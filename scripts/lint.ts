/** Types, format, style and words: all of them must be clean. */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const programs: { what: string; script: string; args: string[] }[] = [
  { what: 'types', script: 'node_modules/typescript/bin/tsc', args: ['-p', '.'] },
  {
    what: 'format',
    script: 'node_modules/prettier/bin/prettier.cjs',
    args: ['--check', '--log-level', 'warn', '.'],
  },
  {
    what: 'style',
    script: 'node_modules/eslint/bin/eslint.js',
    args: ['.', ...process.argv.slice(2)],
  },
  {
    what: 'pages',
    script: 'node_modules/markdownlint-cli2/markdownlint-cli2-bin.mjs',
    args: [],
  },
  { what: 'prose', script: 'scripts/prose.ts', args: [] },
]

let failed = false
for (const { what, script, args } of programs) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  console.log(status === 0 ? `${what}: clean` : `${what}: see above`)
  if (status !== 0) failed = true
}
process.exitCode = failed ? 1 : 0
