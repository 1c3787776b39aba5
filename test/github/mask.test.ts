import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Env } from '../../src/github/inputs/input.ts'
import { findSecrets } from '../../src/github/mask.ts'

const url = 'postgres://owner:p%40ss%2Fw%3Ard@db.example/app'
const masked = (env: Env): readonly string[] => findSecrets(env).values

describe('masked are', () => {
  test('database URLs, and their passwords as they are and encoded', () => {
    for (const name of ['DATABASE-URL', 'SCRATCH-URL', 'TARGET-URL']) {
      const values = masked({ [`INPUT_${name}`]: url })
      for (const form of [url, 'p@ss/w:rd', 'p%40ss%2Fw%3Ard'])
        assert.ok(values.includes(form), `${name}: ${form}`)
    }
  })
  test('forms that another encoder would make of a password', () => {
    const values = masked({ PGPASSWORD: "it's(100%)*!" })
    for (const form of ["it's(100%)*!", "it's(100%25)*!", 'it%27s%28100%25%29%2A%21'])
      assert.ok(values.includes(form), form)
  })
  test('a password that was not encoded, and breaks its URL', () => {
    assert.ok(
      masked({ 'INPUT_DATABASE-URL': 'postgres://owner:p@ss/w:rd#x@db.example/app' }).includes(
        'p@ss/w:rd#x',
      ),
    )
  })
  test('a password that stands in a parameter, or in a string of libpq’s', () => {
    assert.ok(
      masked({ 'INPUT_DATABASE-URL': 'postgres://h/app?user=o&password=hidden%2Fthing' }).includes(
        'hidden/thing',
      ),
    )
    assert.ok(
      masked({ 'INPUT_DATABASE-URL': 'host=h password=hidden-thing dbname=x' }).includes(
        'hidden-thing',
      ),
    )
  })
  test('identities, line by line, also where a public key belongs', () => {
    const values = masked({
      'INPUT_DECRYPT-WITH': '# mine\nAGE-SECRET-KEY-1AAAA\r\nAGE-SECRET-KEY-1BBBB',
      'INPUT_ENCRYPT-TO': 'AGE-SECRET-KEY-1CCCC',
    })
    assert.deepEqual([...values].sort(), [
      'AGE-SECRET-KEY-1AAAA',
      'AGE-SECRET-KEY-1BBBB',
      'AGE-SECRET-KEY-1CCCC',
    ])
  })
  test('S3 secrets and tokens', () => {
    const values = masked({
      AWS_SECRET_ACCESS_KEY: 'aws-secret',
      AWS_SESSION_TOKEN: 'aws-token',
      'INPUT_GITHUB-TOKEN': 'ghs_token',
      INPUT_STORAGE: 's3://b/p?secret_access_key=in-the-url',
    })
    for (const secret of ['aws-secret', 'aws-token', 'ghs_token', 'in-the-url'])
      assert.ok(values.includes(secret), secret)
  })
})

describe('not masked are', () => {
  test('empty values, public keys, and URLs that hold no secret', () => {
    assert.deepEqual(
      masked({
        'INPUT_DATABASE-URL': 'postgres://h/app',
        'INPUT_DECRYPT-WITH': 'age1abc',
        AWS_SECRET_ACCESS_KEY: '',
        PGPASSWORD: '',
        INPUT_STORAGE: 's3://b/p:q@r\nfile:///a:b@c',
      }),
      [],
    )
  })
  test('common and short passwords, of which it warns instead, without showing them', () => {
    for (const password of ['postgres', 'Password', 'abc12']) {
      const { values, warnings } = findSecrets({
        'INPUT_TARGET-URL': `postgres://postgres:${password}@h/app`,
      })
      assert.deepEqual(values, [`postgres://postgres:${password}@h/app`])
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]?.text ?? '', /The password in target-url is not masked/)
      assert.ok(!warnings[0]?.text.includes(password))
      assert.equal(warnings[0]?.notable, true)
    }
    assert.equal(
      findSecrets({ 'INPUT_SCRATCH-URL': 'postgres://postgres:postgres@h/app' }).warnings[0]
        ?.notable,
      false,
      'a scratch server is thrown away',
    )
  })
})

test('a weak password that is PGPASSWORD and in a URL too is warned of once', () => {
  const given = (url: string): string[] =>
    findSecrets({ 'INPUT_DATABASE-URL': url, PGPASSWORD: 'a b' }).warnings.map(({ text }) => text)
  const [first = '', ...rest] = given('postgres://u:a%20b@h/app')
  assert.match(first, /The password in PGPASSWORD is not masked/)
  assert.deepEqual(rest, [])
  assert.equal(given('postgres://u:other@h/app').length, 2)
})

describe('a text for others', () => {
  const secrets = findSecrets({
    'INPUT_DATABASE-URL': url,
    'INPUT_SCRATCH-URL': 'postgres://postgres:postgres@h/x',
  })
  test('holds no secret in any form, nor the password of any URL', () => {
    const text = secrets.redact(
      `${url} p@ss/w:rd, p%40ss%2Fw%3Ard; postgres://u:unknown@h/d https://x:y@z amqp://u:a:b@h`,
    )
    assert.doesNotMatch(text, /ss\/w|ss%2F|unknown|:y@|a:b/)
    assert.match(text, /postgres:\/\/u:\*\*\*@h\/d/)
  })
  test('is found in time that grows with the text', () => {
    const began = Date.now()
    for (const part of ['a', 'a://', 'a://x:', ':', 'a@'])
      secrets.redact(part.repeat(100_000 / part.length))
    assert.ok(Date.now() - began < 2000)
  })
  test('keeps what is no secret', () => {
    const plain = 'postgres://h/db at 10:30, user@example.com, s3://b/p, the word postgres'
    assert.equal(secrets.redact(plain), plain)
  })
  test('may be any text in a result, and the rest of the result stays', () => {
    assert.deepEqual(
      secrets.redactAll({ a: ['x p@ss/w:rd', 1, null], b: { c: true, d: undefined } }),
      { a: ['x ***', 1, null], b: { c: true, d: undefined } },
    )
  })
})
