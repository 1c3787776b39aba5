/**
 * This project's version, as in package.json (a test holds them together): the bundle has no
 * package.json of its own that says it.
 */
export const version = '0.1.0'
