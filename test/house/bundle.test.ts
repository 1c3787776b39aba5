import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { checkBundle, cliScript } from '../../scripts/bundle-rules.ts'

const root = dirname(dirname(import.meta.dirname))

describe('a bundle is refused for', () => {
  const bad: [title: string, name: string, text: string, says: RegExp][] = [
    [
      'a module that is missing',
      'index.js',
      'var e=webpackMissingModule("x")',
      /a module is missing/,
    ],
    ['a require that hides', '1.index.js', 'const r=eval("require")("os")', /eval of require/],
    [
      'a require that hides behind a comma',
      '1.index.js',
      "const r=(0,eval)('require')",
      /eval of require/,
    ],
    ['its size', 'index.js', 'x'.repeat(4_000_001), /over the 4000000/],
  ]
  for (const [title, name, text, says] of bad) {
    test(title, () => {
      const found = checkBundle(bundle({ [name]: text, 'cli.js': '', 'licenses.txt': '' }))
      assert.equal(found.length, 1)
      assert.match(found[0] ?? '', says)
    })
  }

  test('licenses that are missing', () =>
    assert.match(checkBundle(bundle({ 'index.js': '', 'cli.js': '' }))[0] ?? '', /licenses\.txt/))
  test('a command line that is missing', () =>
    assert.match(checkBundle(bundle({ 'index.js': '', 'licenses.txt': '' }))[0] ?? '', /cli\.js/))
})

test("pg's native driver, which we never ask for, is let pass", () => {
  assert.deepEqual(
    checkBundle(
      bundle({
        'index.js': 'e.exports=eval("require")("pg-native")',
        'cli.js': '',
        'licenses.txt': '',
      }),
    ),
    [],
  )
})

test('the committed bundle passes, and exports what each action imports', async () => {
  const dist = join(root, 'dist')
  assert.deepEqual(checkBundle(dist), [])
  const bundled = Object.keys((await import(join(dist, 'index.js'))) as object)
  const scripts = globSync('actions/{,*/}{main,post}.js', { cwd: root })
  assert.ok(scripts.length >= 4)
  for (const script of scripts) {
    const text = readFileSync(join(root, script), 'utf8')
    const name = /^import \{ (\w+)(?: as \w+)? \} from '(?:\.\.\/)+dist\/index\.js'$/m.exec(
      text,
    )?.[1]
    assert.ok(
      name !== undefined && bundled.includes(name),
      `${script} imports ${name}, the bundle exports ${bundled.join(', ')}`,
    )
  }
  assert.equal(readFileSync(join(dist, 'cli.js'), 'utf8'), cliScript)
  assert.ok(bundled.includes('cli'))
})

describe('on an older Node, the command line', () => {
  const packaged = `node_modules/node-${process.platform}-${process.arch}/bin/node`
  const script = (...files: string[]): string => {
    const folder = bundle({})
    for (const file of ['dist/cli.js', ...files]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), file === 'dist/cli.js' ? cliScript : '')
    }
    writeFileSync(join(folder, 'dist/package.json'), '{"type":"module"}')
    return join(folder, 'dist/cli.js')
  }
  const older = `data:text/javascript,
    Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } });
    Object.defineProperty(process, 'version', { value: 'v20.20.2' });`
  const run = (path: string): { status: number | null; stderr: string } =>
    spawnSync(process.execPath, ['--import', older, path, '--label', 'hunter22'], {
      encoding: 'utf8',
    })

  test('says how to use the Node 24 that npm installed, and does not run it', () => {
    const path = script(packaged)
    const { status, stderr } = run(path)
    assert.equal(status, 1)
    const folder = dirname(join(dirname(dirname(path)), packaged))
    assert.equal(
      stderr,
      'Holdfast needs Node 24 or newer, and this is v20.20.2.\n' +
        `npm installed one with the dependencies. Type:  export PATH="${folder}:$PATH"\n` +
        'Then type the same command again.\n',
    )
  })

  test('says where to get Node if npm installed none', () => {
    const { status, stderr } = run(script())
    assert.equal(status, 1)
    assert.match(stderr, /https:\/\/nodejs\.org/)
    assert.doesNotMatch(stderr, /node_modules|hunter22/)
  })
})

function bundle(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'))
  after(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}
