import assert from 'node:assert/strict'
import { test } from 'node:test'
import { question } from '../../src/cli/confirm.ts'

test('what is asked for is what will happen', () => {
  const asked = (inputs: Record<string, string>): string =>
    question(
      Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value])),
    )
  assert.match(asked({}), /the name of the database that is replaced: $/)
  assert.match(asked({ MODE: 'new' }), /database that is made: $/)
  assert.match(asked({ TABLES: 'public.orders' }), /database that they come into: $/)
  assert.match(asked({ SCHEMAS: 'sales' }), /database that they come into: $/)
  assert.match(
    asked({ TABLES: 'public.orders', REPLACE: 'true' }),
    /database whose tables are replaced: $/,
  )
  assert.match(
    asked({ UNDO: 'true', ENVIRONMENT: 'production' }),
    /the environment, a slash, and the name of the database that is swapped back: $/,
  )
})
