#!/usr/bin/env node
if (Number.parseInt(process.versions.node, 10) < 24) {
  console.error('Holdfast needs Node 24 or newer, and this is ' + process.version + '.')
  console.error('Install it from https://nodejs.org/en/download, then type the same command again.')
  process.exit(1)
}
const { cli } = await import('./index.js')
await cli(process.argv.slice(2), process.env)
