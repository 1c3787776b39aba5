/**
 * Kinds of objects that a statement alters, drops or creates, longest first. Only words of this list
 * are shown, never words of a statement.
 */
const objectKinds = [
  'MATERIALIZED VIEW',
  'FOREIGN TABLE',
  'EVENT TRIGGER',
  'TABLE',
  'INDEX',
  'VIEW',
  'SEQUENCE',
  'SCHEMA',
  'TRIGGER',
  'RULE',
  'POLICY',
  'TYPE',
  'DOMAIN',
  'FUNCTION',
  'PROCEDURE',
  'EXTENSION',
  'OWNED',
  'DATABASE',
  'PUBLICATION',
  'STATISTICS',
]

/** Statements with the strongest locks first: in a text of several, these are what waits. */
const kinds: [begins: RegExp, kind: string][] = [
  [/^DROP INDEX CONCURRENTLY\b/, 'DROP INDEX CONCURRENTLY'],
  [/^CREATE (UNIQUE )?INDEX CONCURRENTLY\b/, 'CREATE INDEX CONCURRENTLY'],
  [/^CREATE (UNIQUE )?INDEX\b/, 'CREATE INDEX'],
  ...['ALTER', 'DROP', 'CREATE'].flatMap((verb) =>
    objectKinds.map((object): [RegExp, string] => [
      new RegExp(`^${verb} (OR REPLACE )?(CONSTRAINT )?${object}\\b`),
      `${verb} ${object}`,
    ]),
  ),
  [/^TRUNCATE\b/, 'TRUNCATE'],
  [/^VACUUM (FULL\b|\([^)]*\bFULL\b)/, 'VACUUM FULL'],
  [/^CLUSTER\b/, 'CLUSTER'],
  [/^REPACK\b/, 'REPACK'],
  [/^REINDEX\b[^;]*\bCONCURRENTLY\b/, 'REINDEX CONCURRENTLY'],
  [/^REINDEX\b/, 'REINDEX'],
  [/^REFRESH MATERIALIZED VIEW\b/, 'REFRESH MATERIALIZED VIEW'],
  [/^LOCK\b/, 'LOCK TABLE'],
  [/^COMMENT ON\b/, 'COMMENT'],
  ...[
    'VACUUM',
    'ANALYZE',
    'DO',
    'CALL',
    'EXECUTE',
    'COPY',
    'INSERT',
    'UPDATE',
    'DELETE',
    'MERGE',
    'SELECT',
    'WITH',
    'TABLE',
  ].map((word): [RegExp, string] => [new RegExp(`^${word}\\b`), word]),
]

/** Comments, strings and quoted names, also if the server cut them off. */
const quoted = new RegExp(
  [
    /--[^\n]*/,
    /\/\*[\s\S]*?(?:\*\/|$)/,
    /\bE'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/,
    /'(?:[^']|'')*(?:'|$)/,
    /"(?:[^"]|"")*(?:"|$)/,
    /(\$\w*\$)[\s\S]*?(?:\1|$)/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gi',
)

/**
 * Returns the kind of statement that a text is, for example `ALTER TABLE`, or of several statements
 * the one with the strongest lock. Never returns a word of the text itself, which can hold secrets.
 * Undefined for unknown statements.
 */
export function statementKind(text: string): string | undefined {
  const statements = text
    .replace(quoted, (part) => (/^(--|\/\*)/.test(part) ? ' ' : ' _ '))
    .split(';')
    .map((statement) => statement.replace(/\s+/g, ' ').trim().toUpperCase())
  return kinds.find(([begins]) => statements.some((statement) => begins.test(statement)))?.[1]
}
