import type { Env } from '../github/inputs/input.ts'
import { openStorage } from '../storage/open.ts'
import type { Storage } from '../storage/storage.ts'

/**
 * Opens storages, runs `body` with them, and closes them however it ends. A URL that is not valid
 * throws before anything connects.
 */
export async function withStorages<T>(
  urls: readonly string[],
  env: Env,
  body: (storages: Storage[]) => Promise<T>,
): Promise<T> {
  const storages: Storage[] = []
  try {
    for (const url of urls) storages.push(openStorage(url, { env }))
    return await body(storages)
  } finally {
    await Promise.allSettled(storages.map((storage) => storage.close()))
  }
}
