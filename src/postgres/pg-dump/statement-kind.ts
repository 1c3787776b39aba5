/**
 * Things that a statement may alter, drop or create, longest first: a match is told, and it is from
 * this list, never from the text.
 */
const things = [
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

/** Statements that lock much, first; in a text of several, they are what is waited for. */
const kinds: [begins: RegExp, kind: string][] = [
  [/^DROP INDEX CONCURRENTLY\b/, 'DROP INDEX CONCURRENTLY'],
  [/^CREATE (UNIQUE )?INDEX CONCURRENTLY\b/, 'CREATE INDEX CONCURRENTLY'],
  [/^CREATE (UNIQUE )?INDEX\b/, 'CREATE INDEX'],
  ...['ALTER', 'DROP', 'CREATE'].flatMap((verb) =>
    things.map((thing): [RegExp, string] => [
      new RegExp(`^${verb} (OR REPLACE )?(CONSTRAINT )?${thing}\\b`),
      `${verb} ${thing}`,
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

/**
 * Comments, texts and quoted names, also such as are cut off at their end: nothing in them is a
 * statement's kind.
 */
const quoted =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\bE'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|(\$\w*\$)[\s\S]*?(?:\1|$)/gi

/**
 * What kind of statement a text is (`ALTER TABLE`, `TRUNCATE`), never a word of its own: it may
 * hold secrets. Of several in one text, the one that locks most. Undefined where it is none that we
 * know.
 */
export function statementKind(text: string): string | undefined {
  const statements = text
    .replace(quoted, (part) => (/^(--|\/\*)/.test(part) ? ' ' : ' _ '))
    .split(';')
    .map((statement) => statement.replace(/\s+/g, ' ').trim().toUpperCase())
  return kinds.find(([begins]) => statements.some((statement) => begins.test(statement)))?.[1]
}
