import { UserError } from '../errors.ts'
import { input, text } from '../text.ts'

/**
 * Runs `find`, which looks for backups under the name of the database because no label was given. If
 * it finds none, the error says where the name comes from.
 */
export async function withAssumedLabel<T>(database: string, find: () => Promise<T>): Promise<T> {
  try {
    return await find()
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== 'no-backup') throw error
    const { message, hint } = error.texts
    throw new UserError(
      'no-backup',
      message,
      text`${input('label')} was not given, so the database name "${database}" was used. ${hint}`,
      { cause: error },
    )
  }
}
