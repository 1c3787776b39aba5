import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  folderOf,
  isId,
  isPreRestore,
  labelKey,
  labelOf,
  locationOf,
  newId,
  timeOf,
} from '../../src/repository/ids.ts'
import type { Storage } from '../../src/storage/storage.ts'

test('ids sort by their time', () => {
  const times = [0, 1, 999, 1000, 61_000, 86_400_000].map((ms) =>
    newId(new Date(Date.UTC(2026, 10, 21) + ms)),
  )
  assert.deepEqual([...times].sort(), times)
})

test('an id has its time, milliseconds and four random digits', () => {
  for (let i = 0; i < 300; i++)
    assert.match(newId(new Date('2026-11-21T03:15:00.035Z')), /^20261121T031500Z-0z[0-9a-z]{4}$/)
  const id = newId(new Date('2026-11-21T03:15:00.999Z'), 'pre-restore')
  assert.match(id, /^20261121T031500Z-rr[0-9a-z]{4}-pre-restore$/)
  assert.ok(isId(id) && isPreRestore(id))
  assert.equal(timeOf(id), '2026-11-21T03:15:00Z')
})

test('what is like an id is none', () => {
  assert.ok(isId('20261121T031500Z-ab12cd') && !isPreRestore('20261121T031500Z-ab12cd'))
  for (const text of ['20261121T031500Z', '20261121T031500Z-AB', '20261121T031500Z-a-b', 'x'])
    assert.ok(!isId(text), text)
})

test('any label becomes one segment of a key, and comes back', () => {
  for (const label of ['production', 'my db', 'a/b', '..', '.', 'ü=1', 'x=2Fy', '数据', 'a\nb']) {
    assert.match(labelKey(label), /^(?!\.\.?$)[A-Za-z0-9._=-]+$/)
    assert.equal(labelOf(labelKey(label)), label)
  }
})

test('a label stays readable where a key can hold it', () => {
  assert.equal(labelKey('my.db-1_x'), 'my.db-1_x')
  assert.equal(labelKey('..'), '=2E=2E')
  assert.equal(labelKey('a/\n'), 'a=2F=0A')
  assert.equal(folderOf('a/b', 'id'), 'a=2Fb/id/')
})

test('a place is a URL, whose query stays at its end', () => {
  const at = (url: string): string => locationOf({ url } as Storage, 'a/b', 'id')
  assert.equal(at('file:///backups'), 'file:///backups/a=2Fb/id')
  assert.equal(at('s3://bucket/'), 's3://bucket/a=2Fb/id')
  assert.equal(
    at('s3://bucket/x?endpoint=http://localhost'),
    's3://bucket/x/a=2Fb/id?endpoint=http://localhost',
  )
})
