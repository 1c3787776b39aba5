import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  callout,
  type ChartPart,
  codeBlock,
  details,
  facts,
  list,
  mapReport,
  next,
  paragraph,
  pie,
  type Report,
  settings,
  steps,
  table,
  timeline,
} from '../../src/report/blocks.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { code, either, input, link, strong, type Text, text } from '../../src/text.ts'

describe('a diagram', () => {
  const part = (name: string, value = 5): ChartPart => ({ name, value })
  test('holds only harmless characters in its labels', () => {
    const drawn = pie('x', [part('a"b;c:d<br/>%%{init}'), part('end')])
    assert.ok(drawn)
    assert.match(renderMarkdown([drawn]), /\n {2}"a_b_c_d_br\/____init_" : 5\n {2}"_end" : 5\n/)
  })
  test('is left out when there is nothing to compare, or too much to draw', () => {
    assert.equal(pie('x', [part('a'), part('b', 0)]), undefined)
    assert.equal(pie('x', [part('a', 0), part('b', 0)]), undefined)
    assert.equal(pie('x', [part('a', 10_000), part('b', 100)]), undefined)
    assert.equal(timeline('x', [{ name: 'a', milliseconds: 5 }]), undefined)
    const steps = Array.from({ length: 3000 }, (_, i) => ({ name: `a step ${i}`, milliseconds: 5 }))
    const drawn = timeline('x', steps)
    assert.ok(drawn)
    assert.equal(renderMarkdown([drawn]).trim(), '')
  })
  test('of steps has a bar for each of them, on an axis that counts from zero', () => {
    const drawn = timeline('Steps; all', [
      { name: 'short', milliseconds: 0.4 },
      { name: 'shorter', milliseconds: 0.3 },
      { name: `long ${'x'.repeat(60)}`, milliseconds: 3_599_999.3 },
      { name: 'none', milliseconds: 0 },
    ])
    assert.ok(drawn)
    assert.equal(
      renderMarkdown([drawn]),
      '```mermaid\ngantt\n  title Steps_ all\n  dateFormat x\n  axisFormat %H:%M\n' +
        `  short :0, 1\n  shorter :0, 1\n  long ${'x'.repeat(55)} :1, 3600000\n\`\`\`\n`,
    )
  })
  test('of steps shows hours if they took one', () => {
    const axisOf = (milliseconds: number): string | undefined => {
      const drawn = timeline('x', [
        { name: 'a', milliseconds: 1 },
        { name: 'b', milliseconds },
      ])
      return drawn && /axisFormat (.*)/.exec(renderMarkdown([drawn]))?.[1]
    }
    assert.deepEqual([axisOf(3_599_998), axisOf(3_599_999)], ['%M:%S', '%H:%M'])
  })
  test('is drawn up to 50,000 characters, as GitHub does', () => {
    const drawn = (last: number): string => {
      const names = [...Array.from({ length: 925 }, () => 45), last].map((size) => 'x'.repeat(size))
      const parts = names.map((name) => part(name))
      return renderMarkdown([{ kind: 'chart', shape: 'pie', title: 'x', unit: 'bytes', parts }])
    }
    const fences = '```mermaid\n\n```\n'.length
    assert.equal(drawn(30).length - fences, 50_000)
    assert.equal(drawn(31), '\n')
  })
  test('of shares counts those below a hundredth as one', () => {
    const drawn = pie('x', [part('a', 500), part('b', 500), part('c', 3), part('d', 4)])
    assert.deepEqual(drawn?.parts, [part('a', 500), part('b', 500), part('the rest', 7)])
    assert.deepEqual(pie('x', [part('a', 99), part('b', 1)])?.parts.length, 2)
    assert.deepEqual(pie('x', [part('a', 1), part('b', 1)])?.parts.length, 2)
    const one = pie('x', [part('a', 500), part('b', 499), part('c', 1)])
    assert.deepEqual(one?.parts.at(-1), part('the rest', 1))
  })
})

test('mapping a report reaches every text of every block, and no other word of it', () => {
  const styled = text`secret ${code('secret')} ${strong('secret')} ${link('secret', 'https://secret')} ${input('keep', 'secret')} ${input('clean')} ${either('secret', 'secret')}`
  const report: Report = [
    { kind: 'heading', level: 1, mark: 'fail', text: styled },
    ...blocksWith(styled),
  ]
  const mapped = mapReport(report, (raw) => raw.replaceAll('secret', '***'))
  assert.doesNotMatch(JSON.stringify(mapped), /secret/)
  assert.deepEqual(mapped, JSON.parse(JSON.stringify(report).replaceAll('secret', '***')))
  // the name of a secret is not its value
  const named = [paragraph(text`${input('target-url', { secret: 'DATABASE_URL' })}`)]
  assert.deepEqual(
    mapReport(named, () => '***'),
    named.map((block) => ({ ...block })),
  )
  // a secret that is one of our own words changes no block
  const kinds = mapReport(report, (raw) => raw.replaceAll('heading', '***')).map(({ kind }) => kind)
  assert.deepEqual(
    kinds,
    report.map(({ kind }) => kind),
  )
})

function blocksWith(styled: Text): Report {
  return [
    paragraph(styled),
    facts([[styled, styled]]),
    table([styled], [[styled]]),
    list([styled]),
    steps([{ step: styled, done: true }]),
    codeBlock('secret', 'text'),
    settings([
      ['label', 'secret'],
      ['tables', ['secret']],
    ]),
    details(styled, paragraph(styled)),
    callout('warning', styled),
    next(styled, list([styled])),
    {
      kind: 'chart',
      shape: 'pie',
      title: 'secret',
      unit: 'bytes',
      parts: [{ name: 'secret', value: 1 }],
    },
  ]
}
