/** Describes the machine that the bench ran on. */
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import type { Machine } from './results.ts'

/** How to query the version of each program. Missing programs are left out. */
const versions: Record<string, string[]> = {
  pg_dump: ['--version'],
  age: ['--version'],
  rclone: ['version'],
  restic: ['version'],
  openssl: ['version'],
  gzip: ['--version'],
  tar: ['--version'],
  pgcopydb: ['--version'],
  pgbackrest: ['version'],
}

export function describeMachine(path: string): Machine {
  const processors = cpus()
  const tools = Object.entries(versions).flatMap(([name, args]) => {
    const { stdout, status } = spawnSync(name, args, { env: { PATH: path }, encoding: 'utf8' })
    const line = stdout?.split('\n').find((each) => /\d\.\d/.test(each))
    const version = /v?\d+\.\d[\w.+-]*/.exec(line ?? '')?.[0]
    return status === 0 && version !== undefined ? [{ name, version }] : []
  })
  // A versitygw that Go built from its module does not print its version; its build information
  // has it.
  const built = spawnSync('sh', ['-c', 'go version -m "$(command -v versitygw)"'], {
    env: { ...process.env, PATH: path },
    encoding: 'utf8',
  }).stdout
  const gateway = /\tmod\t\S+\tv(\S+)/.exec(built)?.[1]
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memory: totalmem(),
    kernel: `${type()} ${release()}`,
    tools: [
      { name: 'node', version: process.version },
      { name: 'versitygw', version: gateway ?? 'of unknown version' },
      ...tools,
    ],
  }
}
