import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { statusReport } from '../../src/report/status.ts'
import type { LabelStatus } from '../../src/repository/status.ts'
import { rows } from './reading.ts'

describe('the report of status', () => {
  test('marks only the labels without a recent backup as failed', () => {
    const newest = {
      id: '20261121T031045Z-k3v9',
      snapshotAt: '2026-11-21T03:10:45Z',
      age: 2000,
      bytes: 1,
      server: '17.11',
      encrypted: true,
      locations: ['file:///x/a'],
    }
    const proof = { level: 'identical' as const, at: newest.snapshotAt, age: 1000 }
    const label = (name: string, age: number): LabelStatus => ({
      label: name,
      backups: 1,
      bytes: 1,
      newest: { ...newest, age },
      proven: { ...newest, age, proof },
      all: [],
      unproven: [],
      limited: [],
      failed: [],
      damaged: [],
      unfinished: [],
      preRestore: [],
    })
    const labels = [label('late', 2000), label('recent', 1000)]
    const headings = (maxAge?: number): string[] =>
      renderMarkdown(statusReport({ sources: ['file:///x'], warnings: [], labels }, maxAge))
        .split('\n')
        .filter((line) => line.startsWith('#'))
    assert.deepEqual(headings(1000), [
      '## ❌ 1 database has no recent backup',
      '### ❌ `late`',
      '### ✅ `recent`',
    ])
    assert.deepEqual(headings().slice(1), ['### ✅ `late`', '### ✅ `recent`'])
  })

  test('lists all ids, folded, and as many as are read', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-21T05:10:45Z') })
    const all = Array.from({ length: 60 }, (_, i) => ({
      id: `20261121T0310${i % 60}Z-k3v9`,
      snapshotAt: '2026-11-21T03:10:45Z',
      bytes: 2048,
      kind: 'backup' as const,
      ...(i === 0
        ? { level: 'accepted' as const, provenAt: '2026-11-21T05:00:00.000Z' }
        : i === 1
          ? { level: 'stored' as const }
          : {}),
    }))
    const report = renderMarkdown(
      statusReport({
        sources: ['file:///x'],
        warnings: [],
        labels: [
          {
            label: 'production',
            backups: 60,
            bytes: 60 * 2048,
            all,
            unproven: [],
            limited: [],
            failed: [],
            damaged: [],
            unfinished: [],
            preRestore: [],
          },
        ],
      }),
    )
    assert.match(report, /<summary>All finished backups \(60\)<\/summary>/)
    const listed = rows(report).filter(([id]) => /^`2026/.test(id as string))
    assert.equal(listed.length, 50)
    assert.deepEqual(
      listed.slice(0, 3).map((row) => row.slice(1)),
      [
        ['2 hours', '2.0 KiB', '✅ accepted, 2026-11-21 05:00:00 UTC', 'backup'],
        ['2 hours', '2.0 KiB', 'stored', 'backup'],
        ['2 hours', '2.0 KiB', 'never verified', 'backup'],
      ],
    )
    assert.match(report, /… and 10 more backups\./)
  })
})
