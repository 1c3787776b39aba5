import assert from 'node:assert/strict'
import { test } from 'node:test'
import { list } from '../../src/report/blocks.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import {
  definitionName,
  capped,
  sentences,
  sqlName,
  swapByHand,
  uniqueSentences,
} from '../../src/report/sections.ts'
import { code, plainText, text } from '../../src/text.ts'

test('of a long list fifty are shown, and the others counted', () => {
  const shown = (count: number): string[] => {
    const items = Array.from({ length: count }, (_, i) => `name ${i}`)
    return renderMarkdown(capped(items, list, 'entry', 'entries'))
      .trimEnd()
      .split('\n')
  }
  assert.deepEqual(shown(50).slice(-2), ['- name 48', '- name 49'])
  assert.deepEqual(shown(51).slice(-3), ['- name 49', '', '… and 1 more entry.'])
  assert.deepEqual(shown(1053).slice(-3), ['- name 49', '', '… and 1,003 more entries.'])
})

test('sentences stand once each, whatever is missing between them', () => {
  const first = text`Set ${code('x')}.`
  assert.equal(plainText(sentences(undefined, first, '', 'Then run.')), 'Set x. Then run.')
  const again = text`Set ${code('x')}.`
  assert.equal(plainText(uniqueSentences([first, 'Run.', again, 'Run.'])), 'Set x. Run.')
})

test('a name of a report is an identifier of SQL, part by part', () => {
  const names: [string, string][] = [
    ['public.orders', '"public"."orders"'],
    ['public."My T"', '"public"."My T"'],
    ['"a.b"."c""d"', '"a.b"."c""d"'],
  ]
  for (const [name, sql] of names) assert.equal(sqlName(name), sql)
})

test('the SQL of a swap quotes names, and gives the database that leaves a name that fits', () => {
  const target = `it's "${'x'.repeat(58)}`
  assert.match(
    renderMarkdown([swapByHand('By hand', target, 'old')]),
    new RegExp(
      /datname IN \('it''s "x{58}', 'old'\);\nBEGIN;\n/.source +
        /ALTER DATABASE "it's ""x{58}" RENAME TO "it's ""x{34}_restored";\n/.source +
        /ALTER DATABASE "old" RENAME TO "it's ""x{58}";\nCOMMIT;/.source,
    ),
  )
})

test('grants and comments are named without pg_dump’s words; other entries stay', () => {
  for (const [entry, name] of [
    ['ACL public.TABLE customers', 'grants on public.customers'],
    ['ACL SCHEMA sales.eu', 'grants on schema sales.eu'],
    ['COMMENT public.MATERIALIZED VIEW totals', 'comment on materialized view public.totals'],
    ['COMMENT public.COLUMN orders.note', 'comment on column public.orders.note'],
    ['SECURITY LABEL public.TABLE "A B"', 'security label of public."A B"'],
    ['TABLE public.orders', 'TABLE public.orders'],
    ['ACL DATABASE', 'ACL DATABASE'],
  ] as const)
    assert.equal(definitionName(entry), name)
})
