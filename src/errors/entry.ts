/** What the catalogue knows of one error code, whatever the case at hand. */
export interface ErrorEntry {
  /** What happened, in one sentence without figures or names: what `docs/errors.md` leads with. */
  readonly message: string
  /** The likely cause, and what to do: shown where the case at hand has nothing more exact. */
  readonly hint: string
}
