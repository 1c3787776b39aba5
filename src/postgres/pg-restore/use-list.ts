import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

let lists = 0

/**
 * Writes entry ids as a list for `pg_restore -L`, which restores them in this order. Returns the
 * list's path.
 */
export async function writeList({
  ids,
  folder,
}: {
  ids: readonly number[]
  folder: string
}): Promise<string> {
  const file = join(folder, `entries-${++lists}`)
  await writeFile(file, ids.map((id) => `${id};\n`).join(''))
  return file
}
