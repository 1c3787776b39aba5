/** What the catalogue says about an error code, in general. */
export interface ErrorEntry {
  /** What happened: one sentence without figures or names. `docs/errors.md` begins with it. */
  readonly message: string
  /** The likely cause and what to do. Shown if an error has no more specific hint. */
  readonly hint: string
}
