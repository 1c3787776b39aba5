import assert from 'node:assert/strict'
import { test } from 'node:test'
import { question } from '../../src/cli/confirm.ts'

test('what is asked for is what will happen', () => {
  const asked = (inputs: Record<string, string>): string =>
    question(
      Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value])),
    )
  assert.match(asked({}), /the name of the database to replace: $/)
  assert.match(asked({ MODE: 'new' }), /database to create: $/)
  assert.match(asked({ TABLES: 'public.orders' }), /database to restore into: $/)
  assert.match(asked({ SCHEMAS: 'sales' }), /database to restore into: $/)
  assert.match(
    asked({ TABLES: 'public.orders', REPLACE: 'true' }),
    /database whose tables to replace: $/,
  )
  assert.match(
    asked({ UNDO: 'true', ENVIRONMENT: 'production' }),
    /the environment, a slash, and the name of the database to swap back: $/,
  )
})
