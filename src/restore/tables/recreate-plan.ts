import type { ArchiveEntry } from '../../postgres/pg-restore/toc.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'

/** The entries of an archive that re-create missing tables. Ids are in the archive's order. */
export interface RecreatePlan {
  /** The tables' schemas. */
  schemas: { id: number; name: string }[]
  /** The tables, their sequences and defaults: to create before the rows are inserted. */
  beforeRows: number[]
  /** Their indexes, keys, triggers, policies, comments and grants: to create after the rows. */
  afterRows: number[]
  /** Foreign keys from and to the tables. */
  keys: ArchiveEntry[]
  /**
   * Other objects that depend on the tables, and were dropped with them: views, functions, policies
   * and rules of other tables, memberships in publications.
   */
  dependents: ArchiveEntry[]
  /** Existing tables that must be locked too, because keys or dependents refer to them. */
  related: CatalogTable[]
}

/** Where an entry goes. `indexes` and `attaches` come first among the entries after the rows. */
type Destination = 'schemas' | 'beforeRows' | 'afterRows' | 'keys' | 'dependents' | Deferred
type Deferred = 'indexes' | 'attaches'

/** One entry, and how it relates to the missing tables. */
interface Candidate {
  /** The entry creates a schema of a missing table. */
  isSchema: boolean
  /** The entry creates a missing table. */
  isTable: boolean
  /** The table that the entry is about, for the kinds in `kindsOnATable`. */
  table: CatalogTable | undefined
  /** The entry depends on a missing table, or on an object of one. */
  dependsOnOwn: boolean
  /** The entry depends on a missing table itself. */
  dependsOnTable: boolean
  /** The entry depends on a key or a dependent. */
  dependsOnLost: boolean
  /** Every table that the entry depends on is missing. */
  onlyMissing: boolean
}

/** A rule: entries of this kind, if `when` holds, go `into`. */
interface Rule {
  kind: RegExp
  when: (candidate: Candidate, missing: ReadonlySet<CatalogTable>) => boolean
  into: Destination
  /** What the entry counts as, for the entries that depend on it. */
  countsAs?: 'own' | 'lost'
  /** Lock the existing tables that the entry refers to. */
  locks?: 'dependencies' | 'table'
}

const any = /^/
const kindsOnATable = /^(TRIGGER|RULE|POLICY|ROW SECURITY)$/
const isMissing = (table: CatalogTable | undefined, missing: ReadonlySet<CatalogTable>): boolean =>
  table !== undefined && missing.has(table)

/** The first rule that applies decides. An entry without a rule is not needed. */
const rules: readonly Rule[] = [
  { kind: /^SCHEMA$/, when: ({ isSchema }) => isSchema, into: 'schemas' },
  { kind: any, when: ({ isTable }) => isTable, into: 'beforeRows' },
  {
    kind: /^FK CONSTRAINT$/,
    when: ({ dependsOnTable }) => dependsOnTable,
    into: 'keys',
    countsAs: 'lost', // a comment on the key comes after it
    locks: 'dependencies',
  },
  {
    kind: kindsOnATable,
    when: ({ dependsOnOwn, table }, missing) => dependsOnOwn && isMissing(table, missing),
    into: 'afterRows',
    countsAs: 'own',
  },
  {
    kind: kindsOnATable,
    when: ({ dependsOnOwn }) => dependsOnOwn,
    into: 'dependents',
    locks: 'table',
  },
  {
    kind: /^TABLE ATTACH$/,
    when: ({ dependsOnOwn, onlyMissing }) => dependsOnOwn && onlyMissing,
    into: 'beforeRows',
  },
  {
    // An existing root creates its keys in a partition that is attached without its own.
    // So these partitions are attached after their indexes.
    kind: /^TABLE ATTACH$/,
    when: ({ dependsOnOwn }) => dependsOnOwn,
    into: 'attaches',
    locks: 'dependencies',
  },
  {
    kind: /^(CONSTRAINT|CHECK CONSTRAINT|INDEX)$/,
    when: ({ dependsOnOwn }) => dependsOnOwn,
    into: 'indexes',
    countsAs: 'own',
  },
  {
    kind: /^(SEQUENCE|SEQUENCE OWNED BY|SEQUENCE SET|DEFAULT)$/,
    when: ({ dependsOnOwn }) => dependsOnOwn,
    into: 'beforeRows',
    countsAs: 'own',
  },
  {
    kind: /^(INDEX ATTACH|STATISTICS|COMMENT|ACL|SECURITY LABEL)$/,
    when: ({ dependsOnOwn, dependsOnLost }) => dependsOnOwn && !dependsOnLost,
    into: 'afterRows',
    countsAs: 'own',
  },
  {
    kind: /^TABLE$/, // a table that inherits from a missing one
    when: ({ dependsOnOwn, dependsOnLost }) => dependsOnOwn || dependsOnLost,
    into: 'dependents',
  },
  {
    kind: /^(?!.* DATA$)/,
    when: ({ dependsOnOwn, dependsOnLost }) => dependsOnOwn || dependsOnLost,
    into: 'dependents',
    countsAs: 'lost',
  },
]

/**
 * Sorts the entries of an archive that belong to missing tables, by what each entry depends on.
 * `tableOf` returns the table that an entry is about.
 */
export function planRecreation(
  entries: readonly ArchiveEntry[],
  missing: ReadonlySet<CatalogTable>,
  tableOf: (entry: ArchiveEntry) => CatalogTable | undefined,
): RecreatePlan {
  const tables = new Map(
    entries.flatMap((entry) =>
      entry.kind === 'TABLE' ? [[entry.id, tableOf(entry)] as const] : [],
    ),
  )
  const tableIds = new Set(
    [...tables].filter(([, table]) => isMissing(table, missing)).map(([id]) => id),
  )
  const schemas = schemasOf(entries, tableIds, tables)
  const counted = { own: new Set(tableIds), lost: new Set<number>() }
  const related = new Set<CatalogTable>()
  const sorted = emptySorted()
  for (const entry of entries) {
    const candidate: Candidate = {
      isSchema: schemas.has(entry.id),
      isTable: tableIds.has(entry.id),
      table: kindsOnATable.test(entry.kind) ? tableOf(entry) : undefined,
      dependsOnOwn: entry.restsOn.some((id) => counted.own.has(id)),
      dependsOnTable: entry.restsOn.some((id) => tableIds.has(id)),
      dependsOnLost: entry.restsOn.some((id) => counted.lost.has(id)),
      onlyMissing: entry.restsOn.every((id) => !tables.has(id) || tableIds.has(id)),
    }
    const rule = rules.find((each) => each.kind.test(entry.kind) && each.when(candidate, missing))
    if (!rule) continue
    sorted[rule.into].push(entry)
    if (rule.countsAs) counted[rule.countsAs].add(entry.id)
    for (const table of tablesToLock(rule, entry, candidate, tables))
      if (table && !missing.has(table)) related.add(table)
  }
  return recreatePlan(sorted, schemas, related)
}

function emptySorted(): Record<Destination, ArchiveEntry[]> {
  return {
    schemas: [],
    beforeRows: [],
    afterRows: [],
    keys: [],
    dependents: [],
    indexes: [],
    attaches: [],
  }
}

/** The tables that an entry refers to, if its rule locks them. */
function tablesToLock(
  { locks }: Rule,
  { restsOn }: ArchiveEntry,
  { table }: Candidate,
  tables: ReadonlyMap<number, CatalogTable | undefined>,
): (CatalogTable | undefined)[] {
  if (locks === 'dependencies') return restsOn.map((id) => tables.get(id))
  return locks === 'table' ? [table] : []
}

function recreatePlan(
  sorted: Readonly<Record<Destination, ArchiveEntry[]>>,
  schemas: ReadonlyMap<number, string>,
  related: ReadonlySet<CatalogTable>,
): RecreatePlan {
  const ids = (of: Destination): number[] => sorted[of].map(({ id }) => id)
  return {
    schemas: sorted.schemas.map(({ id }) => ({ id, name: schemas.get(id) as string })),
    beforeRows: ids('beforeRows'),
    afterRows: [...ids('indexes'), ...ids('attaches'), ...ids('afterRows')],
    keys: sorted.keys,
    dependents: sorted.dependents,
    related: [...related],
  }
}

/**
 * Maps the ids that missing tables depend on to the tables' schema names. The text of an entry does
 * not separate its name from its owner, so the name comes from the table.
 */
function schemasOf(
  entries: readonly ArchiveEntry[],
  tableIds: ReadonlySet<number>,
  tables: ReadonlyMap<number, CatalogTable | undefined>,
): Map<number, string> {
  return new Map(
    entries
      .filter(({ id }) => tableIds.has(id))
      .flatMap(({ id, restsOn }) =>
        restsOn.map((other) => [other, tables.get(id)?.schema ?? ''] as const),
      ),
  )
}
