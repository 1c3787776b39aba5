/**
 * The layers of `src`, from the top down: a folder imports only what stands below its own layer.
 */
export const layers: readonly (readonly string[])[] = [
  ['index'],
  ['cli'],
  ['actions'],
  ['github'],
  ['report'],
  ['rehearsal', 'verify', 'restore'],
  ['backup', 'load', 'cleanup'],
  ['formats'],
  ['repository'],
  ['postgres', 'storage'],
  ['stream'],
  ['errors'],
  ['work'],
  ['text', 'version'],
  ['escape'],
]

/** The layers inside a folder, from the top down, where its sub-folders build on each other. */
export const innerLayers: Readonly<Record<string, readonly (readonly string[])[]>> = {
  postgres: [
    ['tables'],
    ['pg-dump', 'pg-restore', 'server'],
    ['fingerprint'],
    ['programs'],
    ['connection'],
  ],
  report: [['render', 'restore', 'verify']],
}

/**
 * Folders whose sub-folders are alternatives: only the file named here imports them, and none
 * imports another.
 */
export const alternatives: Readonly<Record<string, string>> = {
  restore: 'src/restore/restore.ts',
  storage: 'src/storage/open.ts',
}

/**
 * The folder that imports the shapes of what it shows, and no code, from the layers below it; and
 * the files whose code it may use.
 */
export const typesOnly: Readonly<Record<string, readonly string[]>> = {
  report: ['src/repository/level.ts'],
}
