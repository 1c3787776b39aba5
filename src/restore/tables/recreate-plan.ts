import type { ArchiveEntry } from '../../postgres/pg-restore/toc.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'

/** What of an archive makes tables anew that are not there. Ids in the archive's order. */
export interface RecreatePlan {
  /** Schemas that the tables are in. */
  schemas: { id: number; name: string }[]
  /** The tables, their sequences and defaults: before the rows. */
  before: number[]
  /** Their indexes, keys, triggers, policies, comments and grants: after the rows. */
  after: number[]
  /** Foreign keys from and to them. */
  keys: ArchiveEntry[]
  /**
   * What else rested on them, and so was lost with them: views, functions, policies and rules of
   * other tables, their places in publications.
   */
  dependents: ArchiveEntry[]
  /** Tables that must be locked with them: at the other ends of these. */
  others: CatalogTable[]
}

const ownBefore = /^(SEQUENCE|SEQUENCE OWNED BY|SEQUENCE SET|DEFAULT)$/
const ownAfter = /^(INDEX ATTACH|STATISTICS)$/
const ownIndex = /^(CONSTRAINT|CHECK CONSTRAINT|INDEX)$/
const findByTocName = /^(TRIGGER|RULE|POLICY|ROW SECURITY)$/
const attached = /^(COMMENT|ACL|SECURITY LABEL)$/

/**
 * Deals out the entries that belong to tables which are missing, by what an entry says it rests on.
 */
export function recreatePlanOf(
  entries: readonly ArchiveEntry[],
  missing: ReadonlySet<CatalogTable>,
  tableOf: (entry: ArchiveEntry) => CatalogTable | undefined,
): RecreatePlan {
  const making: RecreatePlan = {
    schemas: [],
    before: [],
    after: [],
    keys: [],
    dependents: [],
    others: [],
  }
  const tables = new Map(
    entries.flatMap((entry) =>
      entry.kind === 'TABLE' ? [[entry.id, tableOf(entry)] as const] : [],
    ),
  )
  const isMissing = (table: CatalogTable | undefined): boolean =>
    table !== undefined && missing.has(table)
  const ids = new Set([...tables].filter(([, table]) => isMissing(table)).map(([id]) => id))
  const own = new Set(ids)
  const lost = new Set<number>()
  const others = new Set<CatalogTable>()
  // a root that is there would give a partition its keys when that is attached: so it is attached
  // with its own
  const [indexes, attaches]: [number[], number[]] = [[], []]
  // a table rests on its schema; that is looked up by its own name for it, since an entry's text
  // does not part a name from an owner
  const schemas = new Map(
    entries
      .filter(({ id }) => ids.has(id))
      .flatMap(({ id, restsOn }) =>
        restsOn.map((other) => [other, tables.get(id)?.schema ?? ''] as const),
      ),
  )
  const tie = (restsOn: readonly number[]): void => {
    for (const other of restsOn) {
      const table = tables.get(other)
      if (table && !missing.has(table)) others.add(table)
    }
  }
  for (const entry of entries) {
    const { id, kind, restsOn } = entry
    const rests = restsOn.some((other) => own.has(other))
    if (kind === 'SCHEMA' && schemas.has(id))
      making.schemas.push({ id, name: schemas.get(id) as string })
    else if (ids.has(id)) making.before.push(id)
    else if (kind === 'FK CONSTRAINT' && restsOn.some((other) => ids.has(other))) {
      making.keys.push(entry)
      lost.add(id) // a comment on it comes after it
      tie(restsOn)
    } else if (findByTocName.test(kind) && rests) {
      const table = tableOf(entry)
      if (isMissing(table)) making.after.push(id)
      else making.dependents.push(entry)
      if (isMissing(table)) own.add(id)
      else if (table) others.add(table)
    } else if (kind === 'TABLE ATTACH' && rests) {
      const whole = restsOn.every((other) => !tables.has(other) || ids.has(other))
      ;(whole ? making.before : attaches).push(id)
      if (!whole) tie(restsOn)
    } else if (ownIndex.test(kind) && rests) {
      own.add(id)
      indexes.push(id)
    } else if (ownBefore.test(kind) && rests) {
      own.add(id)
      making.before.push(id)
    } else if (
      (ownAfter.test(kind) || attached.test(kind)) &&
      rests &&
      !restsOn.some((other) => lost.has(other))
    ) {
      own.add(id)
      making.after.push(id)
    } else if ((rests || restsOn.some((other) => lost.has(other))) && !/ DATA$/.test(kind)) {
      if (kind !== 'TABLE') lost.add(id)
      making.dependents.push(entry)
    }
  }
  making.after.unshift(...indexes, ...attaches)
  making.others.push(...others)
  return making
}
