import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../../src/report/format.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

test('sizes are in powers of 1024', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [10 * 1024, '10 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [5.25 * 1024 ** 3, '5.3 GiB'],
  ]
  for (const [bytes, shown] of cases) assert.equal(formatBytes(bytes), shown)
})

test('durations are in the units that matter', () => {
  const cases: [number, string][] = [
    [0, '0 ms'],
    [849.6, '850 ms'],
    [999.6, '1.0 s'],
    [4210, '4.2 s'],
    [59_960, '1 min 0 s'],
    [200 * second, '3 min 20 s'],
    [3_599_600, '1 h 0 min'],
    [64 * minute, '1 h 4 min'],
  ]
  for (const [milliseconds, shown] of cases) assert.equal(formatDuration(milliseconds), shown)
})

test('ages are in words', () => {
  const cases: [number, string][] = [
    [1 * second, '1 second'],
    [40 * second, '40 seconds'],
    [90 * second, '1 minute'],
    [3 * hour + 20 * minute, '3 hours and 20 minutes'],
    [7 * hour + minute, '7 hours'],
    [2 * day + 4 * hour, '2 days and 4 hours'],
    [30 * day + hour, '30 days'],
    [-5, '0 seconds'],
  ]
  for (const [milliseconds, shown] of cases) assert.equal(formatAge(milliseconds), shown)
})

test('moments are in UTC, and counts have their thousands', () => {
  assert.equal(formatMoment('2026-11-21T04:10:45.678+01:00'), '2026-11-21 03:10:45 UTC')
  assert.equal(formatMoment('nonsense'), 'nonsense')
  assert.equal(formatCount(1234567), '1,234,567')
  assert.equal(formatMany(1, 'row'), '1 row')
  assert.equal(formatMany(0, 'entry', 'entries'), '0 entries')
})
