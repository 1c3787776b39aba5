import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import {
  flatten,
  jsonLine,
  markdownCode,
  markdownText,
  shellWord,
  sqlIdentifier,
  sqlLiteral,
  withoutControls,
  yamlLines,
  yamlValue,
} from '../src/escape.ts'
import { input, plainText } from '../src/text.ts'

/** Characters that act on a screen, hide, or end a line for YAML or for a runner. */
const unseen = ['\u0000', '\u001b', '\u007f', '\u0085', '\u009b', '\u00ad', '\u061c', '\u200b']
  .concat('\u200e', '\u2028', '\u2029', '\u202e', '\u2060', '\u2066', '\u3164', '\ufeff')
  .concat('\u{e0041}')

/** What an attacker could call something, to become something else where it is copied. */
const names = [
  ...unseen.filter((each) => each !== '\u0000').flatMap((each) => [`shop${each}`, `${each}shop`]),
  'a\nundo: true',
  'a\u2028undo: true',
  'a\u0085undo: true',
  'a: b',
  'a #b',
  'a:',
  '- a',
  '? a',
  '*a',
  '&a',
  '!a',
  '|',
  '>',
  '%a',
  '@a',
  '`a`',
  "'",
  "it's",
  '"a" "b"',
  'a\\',
  "a\\'b",
  '{a}',
  '[a]',
  'null',
  'Null',
  '~',
  'True',
  'false',
  'yes',
  '007',
  '1.10',
  '1e3',
  '0x1F',
  '12345678901234567890',
  '.inf',
  '=ls',
  '~root',
  '--undo',
  '-x',
  '$(id)',
  '`id`',
  '; id',
  "'; id; '",
  'a && id',
  '!!',
  '漢字 é 😀 👩‍💻',
]

describe('a text for a screen', () => {
  test('shows what cannot be seen, and is not coloured', () => {
    for (const each of unseen) assert.doesNotMatch(withoutControls(`a${each}b`), /^ab$/)
    for (const each of unseen)
      assert.doesNotMatch(flatten(`a${each}b`), new RegExp(`${each}|^ab$`, 'u'))
    assert.equal(withoutControls('\u001b[31mred\u001b[0m\r\nand\u0007\ttab'), 'red\nand\ufffd\ttab')
    assert.equal(
      flatten('\u001b]8;;https://evil.example\u0007here'),
      '\ufffd]8;;https://evil.example\ufffdhere',
    )
    assert.equal(flatten('⚠️ 👩‍💻 می‌خواهم'), '⚠️ 👩‍💻 می‌خواهم')
  })
})

describe('Markdown', () => {
  test('does not show two names alike', () => {
    for (const each of [...unseen, '\u001b[8m'])
      assert.notEqual(markdownCode(`prod${each}`), '`prod`')
  })
  test('makes no emoji, no mention and no address of a text', () => {
    assert.equal(
      markdownText(':white_check_mark: :+1: at 03:10:45'),
      ':\u200bwhite&#95;check_mark: :\u200b+1: at 03:10:45'.replace('&#95;', '_'),
    )
    assert.equal(markdownText('a@_b.example'), 'a@\u200b&#95;b.example')
  })
})

describe('YAML to copy', () => {
  /** What GitHub hands to an action: expressions evaluated, here only texts in quotes. */
  const evaluated = (value: string): string => value.replace(/\$\{\{ '(.*?)' \}\}/g, '$1')

  test('is the value as it was, under its own key, whatever reads the lines', () => {
    for (const raw of [...names, '${{ secrets.KEY }}', "${{ '${{' }}"]) {
      for (const shown of [yamlValue(raw, 'most'), yamlValue(raw, 'needed')]) {
        assert.doesNotMatch(shown, /[\n\r\u0085\u2028\u2029]/, JSON.stringify(raw))
        const read = parse(`with:\n  confirm: ${shown}\n`) as unknown
        const { with: { confirm } = {}, ...others } = read as { with?: { confirm?: unknown } }
        assert.deepEqual(others, {})
        const given = typeof confirm === 'boolean' ? String(confirm) : confirm
        if (raw.startsWith('${{')) assert.doesNotMatch(String(given), /^\$\{\{ (?!'\$\{\{' \}\})/)
        else assert.equal(given, raw)
        if (raw === '${{ secrets.KEY }}') assert.equal(evaluated(String(given)), raw)
      }
    }
  })
  test('of a list has one line a value, and a name with a line end selects nothing', () => {
    for (const raw of names) {
      const shown = `with:\n  tables: ${yamlLines([raw, 'orders']).replaceAll('\n', '\n  ')}\n  label: x`
      assert.doesNotMatch(shown, /[\r\u0085\u2028\u2029]/, JSON.stringify(raw))
      const read = parse(shown) as { with: { tables: string; label: string } }
      assert.deepEqual(Object.keys(read.with), ['tables', 'label'], JSON.stringify(raw))
      assert.deepEqual(read.with.tables.trimEnd().split('\n'), [
        raw.replaceAll('\n', '\ufffd').trim(),
        'orders',
      ])
    }
    assert.match(yamlLines(['${{ secrets.KEY }}']), /^\|\n {2}\$\{\{ '\$\{\{' \}\} secrets/)
  })
})

describe('a shell', () => {
  test('reads each word as it was, and runs nothing in it', () => {
    const script = names.map((each) => `printf '%s\\0' ${shellWord(each)}`).join('\n')
    assert.doesNotMatch(script.replaceAll('\n', ''), /[\u0000-\u001f\u0085\u2028\u202e\u200b]/)
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script])
    assert.equal(stderr.toString(), '')
    assert.deepEqual(stdout.toString().split('\0').slice(0, -1), names)
  })
  test('gets a value that begins with a hyphen as a value', () => {
    assert.equal(plainText([input('confirm', '--undo')], 'terminal'), '--confirm=--undo')
    assert.equal(plainText([input('confirm', '=ls')], 'terminal'), "--confirm '=ls'")
  })
})

describe('SQL to copy', () => {
  test('names what it named, with each hidden character as an escape', () => {
    assert.equal(sqlIdentifier('a"b\\'), '"a""b\\"')
    assert.equal(sqlIdentifier('a"b\\\u200b'), 'U&"a""b\\\\\\+00200B"')
    assert.equal(sqlIdentifier('a\nSQL\nid'), 'U&"a\\+00000ASQL\\+00000Aid"')
    assert.equal(sqlLiteral("it's"), "'it''s'")
    assert.equal(sqlLiteral("\\'; DROP"), "U&'\\\\''; DROP'")
    assert.equal(sqlLiteral('a\u0001'), "U&'a\\+000001'")
  })
})

test('JSON on a screen has no control characters, and is read as it was', () => {
  const value = { warnings: unseen.map((each) => `a${each}"b`), n: 1 }
  const line = jsonLine(value)
  assert.match(line, /^[ -~]+$/)
  assert.deepEqual(JSON.parse(line), value)
})
