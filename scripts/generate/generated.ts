/** A file that is made from the source, whole or between two markers. */
export interface Generated {
  /** From the project's root. */
  file: string
  /** Returns the file's new content, given what it has now (empty if it does not exist). */
  content: (current: string) => string | Promise<string>
}
