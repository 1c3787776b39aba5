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
    [10_188, '9.9 KiB'],
    [10_189, '10 KiB'],
    [1_048_063, '1023 KiB'],
    [1_048_064, '1.0 MiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [5.25 * 1024 ** 3, '5.3 GiB'],
    [7 * 1024 ** 4, '7.0 TiB'],
    [3000 * 1024 ** 5, '3000 PiB'],
  ]
  for (const [bytes, shown] of cases) assert.equal(formatBytes(bytes), shown)
})

test('durations are in the units that matter', () => {
  const cases: [number, string][] = [
    [0, '0 ms'],
    [849.6, '850 ms'],
    [999.4, '999 ms'],
    [999.5, '1.0 s'],
    [4210, '4.2 s'],
    [59_949, '59.9 s'],
    [59_950, '1 min 0 s'],
    [200 * second, '3 min 20 s'],
    [3_599_499, '59 min 59 s'],
    [3_599_500, '1 h 0 min'],
    [64 * minute, '1 h 4 min'],
  ]
  for (const [milliseconds, shown] of cases) assert.equal(formatDuration(milliseconds), shown)
})

test('ages are in words', () => {
  const cases: [number, string][] = [
    [1 * second, '1 second'],
    [40 * second, '40 seconds'],
    [59_499, '59 seconds'],
    [minute, '1 minute'],
    [90 * second, '1 minute'],
    [hour - 1000, '59 minutes'],
    [hour, '1 hour'],
    [3 * hour, '3 hours'],
    [3 * hour + 20 * minute, '3 hours and 20 minutes'],
    [5 * hour + minute, '5 hours and 1 minute'],
    [6 * hour + minute, '6 hours'],
    [day - minute, '23 hours'],
    [day, '1 day'],
    [2 * day, '2 days'],
    [2 * day + 4 * hour, '2 days and 4 hours'],
    [6 * day + hour, '6 days and 1 hour'],
    [7 * day + hour, '7 days'],
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
