import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

let lists = 0

/**
 * Writes ids, in the order in which they are to be restored, as a list for `pg_restore -L`. Gives
 * its path.
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
