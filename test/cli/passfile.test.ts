import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findPassword } from '../../src/cli/passfile.ts'
import { parseConnection } from '../../src/postgres/connection/connection.ts'

const find = (text: string, url = 'postgres://ann@db.example:5433/shop'): string | undefined =>
  findPassword(text, parseConnection(url, 'test'))

test('the first line that fits counts', () => {
  assert.equal(
    find(
      [
        'db.example:5433:shop:bob:1',
        'db.example:5432:shop:ann:2',
        'other:5433:shop:ann:3',
        'db.example:5433:shop:ann:4',
        '*:*:*:*:5',
      ].join('\n'),
    ),
    '4',
  )
  assert.equal(find('*:*:*:*:5\ndb.example:5433:shop:ann:4'), '5')
  assert.equal(find('db.example:5433:other:ann:4'), undefined)
})

test('comments and lines that are none are passed over', () => {
  assert.equal(find('# *:*:*:*:no\n\n   \n*:*:*\n*:*:*:*:\r\n*:*:*:*:yes\r\n'), 'yes')
})

test('a backslash takes the meaning of what follows; a star that is escaped is a name', () => {
  assert.equal(find('db.example:*:*:ann:a\\:b\\\\c:d'), 'a:b\\c:d')
  assert.equal(find('*:*:sh\\op:ann:x'), 'x')
  assert.equal(find('\\*:*:*:*:no'), undefined)
  assert.equal(find('a\\:\\:1:*:*:*:six', 'postgres://ann@h/shop?host=a%3A%3A1'), 'six')
})

test('a socket in a usual folder is meant by localhost', () => {
  assert.equal(find('localhost:5432:*:*:x', 'postgres://ann@/shop?host=/var/run/postgresql'), 'x')
  assert.equal(find('localhost:5432:*:*:x', 'postgres://ann@/shop?host=/srv/sockets'), undefined)
  assert.equal(find('/srv/sockets:5432:*:*:x', 'postgres://ann@/shop?host=/srv/sockets'), 'x')
})
