#!/usr/bin/env node
if (Number.parseInt(process.versions.node, 10) < 24) {
  const { existsSync } = await import('node:fs')
  const { fileURLToPath } = await import('node:url')
  const packaged = ['node', 'node-bin']
    .map((name) => '../node_modules/' + name + '-' + process.platform + '-' + process.arch + '/bin')
    .map((folder) => fileURLToPath(new URL(folder, import.meta.url)))
    .find((folder) => existsSync(folder + '/node'))
  console.error('Holdfast needs Node 24 or newer, and this is ' + process.version + '.')
  console.error(
    packaged
      ? 'npm installed one with the dependencies. Type:  export PATH="' + packaged + ':$PATH"'
      : 'Install it from https://nodejs.org/en/download.',
  )
  console.error('Then type the same command again.')
  process.exit(1)
}
const { cli } = await import('./index.js')
await cli(process.argv.slice(2), process.env)
