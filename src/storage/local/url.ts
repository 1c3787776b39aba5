import { fileURLToPath } from 'node:url'
import { UserError } from '../../errors.ts'
import { shown } from '../../errors/bad-input.ts'
import { either, input, text } from '../../text.ts'

/** Returns the folder that a `file://` URL names. Throws a UserError if the URL is not valid. */
export function parseFileUrl(url: string): string {
  if (!/^file:\/\//i.test(url)) throw invalid('lacks its slashes')
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed) throw invalid('cannot be parsed')
  if (parsed.host !== '') {
    const absolute = `file:///${parsed.host}${parsed.pathname}`
    throw invalid(`needs three slashes before an absolute path: ${shown(absolute)}`)
  }
  if (parsed.search !== '' || parsed.hash !== '' || /[?#]/.test(url))
    throw invalid('has a ? or # in it; write %3F or %23 if they are part of the path')
  const folder = pathOf(parsed).replace(/(?<=.)\/+$/, '')
  if (folder === '/') throw invalid('names the root of the file system')
  if (folder.includes('\0')) throw invalid('holds a NUL byte')
  return folder
}

function pathOf(url: URL): string {
  try {
    return fileURLToPath(url)
  } catch {
    throw invalid('has a path that no file can have')
  }
}

function invalid(problem: string): UserError {
  const example = either(', for example file://${{ github.workspace }}/backups', '')
  return new UserError(
    'storage-url-invalid',
    text`The file:// URL in ${input('storage')} ${problem}.`,
    text`It looks like file:///absolute/path${example}.`,
  )
}
