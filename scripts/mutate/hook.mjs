// Serves one source file with one change in it. HOLDFAST_MUTANT is JSON: { file, start, end, text }.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

const { file, start, end, text } = JSON.parse(process.env.HOLDFAST_MUTANT ?? '{}')

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith('file:') || fileURLToPath(url) !== file) return nextLoad(url, context)
    const source = readFileSync(file, 'utf8')
    return {
      format: 'module-typescript',
      source: source.slice(0, start) + text + source.slice(end),
      shortCircuit: true,
    }
  },
})
