import { quoteText, type Session } from '../connection/session.ts'

/** How to empty a database, as one statement, and what prevents it. */
export interface DropPlan {
  /** Drops everything that users have in the database, whatever depends on what. */
  sql: string
  /** What prevents it, as parts of a sentence; empty if the role may drop all of it. */
  obstacles: string[]
  /**
   * Extensions that stay: the backup has them too, and this role may not drop them, or need not.
   */
  kept: string[]
  /** Schemas that stay; they hold nothing but such extensions. */
  schemas: string[]
  /** Number of relations in the database, indexes and TOAST tables included. */
  relations: number
}

const notOfExtension = `
  NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend e
    WHERE e.classid = x.classid AND e.objid = x.objid AND e.deptype = 'e')`

/** Objects outside schemas. `rank` is the order in which they are dropped. */
const outsideSchemas = `
  SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AS classid, oid AS objid,
    1 AS rank, evtowner AS owner
  FROM pg_catalog.pg_event_trigger
  UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, 2, pubowner
    FROM pg_catalog.pg_publication
  UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, 3, srvowner
    FROM pg_catalog.pg_foreign_server
  UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, 4, fdwowner
    FROM pg_catalog.pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, c.oid, 8, t.typowner
    FROM pg_catalog.pg_cast c
    JOIN pg_catalog.pg_type t
      ON t.oid = CASE WHEN c.castsource >= 16384 THEN c.castsource ELSE c.casttarget END
    WHERE c.oid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, 9, lanowner
    FROM pg_catalog.pg_language WHERE oid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid, 9, 10
    FROM pg_catalog.pg_am WHERE oid >= 16384`

/**
 * Objects in schemas that stay: those of extensions that stay, and `public`, which every database
 * has. `schemas` is a query of their oids.
 */
const inSchemas = (schemas: string): string => `
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS classid, oid AS objid,
    CASE relkind WHEN 'S' THEN 7 ELSE 6 END AS rank, relowner AS owner
  FROM pg_catalog.pg_class
  WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, 7, proowner
    FROM pg_catalog.pg_proc WHERE pronamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, 7, typowner
    FROM pg_catalog.pg_type t
    WHERE typnamespace IN (${schemas}) AND typelem = 0
      AND (typrelid = 0 OR EXISTS (
        SELECT FROM pg_catalog.pg_class c WHERE c.oid = typrelid AND c.relkind = 'c'))
      AND typtype <> 'm'
  UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, 7, oprowner
    FROM pg_catalog.pg_operator WHERE oprnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, 7, opfowner
    FROM pg_catalog.pg_opfamily WHERE opfnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, 7, collowner
    FROM pg_catalog.pg_collation WHERE collnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, 7, conowner
    FROM pg_catalog.pg_conversion WHERE connamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, 7, cfgowner
    FROM pg_catalog.pg_ts_config WHERE cfgnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, 8, dictowner
    FROM pg_catalog.pg_ts_dict WHERE dictnamespace IN (${schemas})
  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, 7, stxowner
    FROM pg_catalog.pg_statistic_ext WHERE stxnamespace IN (${schemas})`

/** SQL condition on a row of pg_namespace: false for the schemas of the server itself. */
const isUserSchema = `nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'`

interface InstalledExtension {
  name: string
  /** Version and schema, as the backup writes them. */
  text: string
  /** Whether the role may drop it. */
  own: boolean
  /** Whether it keeps rows of users in tables of its own. */
  rows: boolean
  schema: string
}

/**
 * Plans how to empty a database: schemas with all that is in them, objects outside schemas, large
 * objects and default privileges. Extensions that the backup has in the same version and schema
 * stay, unless they keep rows of their own; all others go. `extensions` are the backup's: version
 * and schema by name.
 */
export async function planDrops(
  session: Session,
  extensions: Record<string, string>,
): Promise<DropPlan> {
  const installed = await listExtensions(session)
  const kept = installed.filter(
    ({ name, text, rows, own }) =>
      name === 'plpgsql' || (extensions[name] === text && !(rows && own)),
  )
  const dropped = installed.filter((extension) => !kept.includes(extension))
  const schemas = ['public', ...kept.map(({ schema }) => schema)]
  const [count] = await session.query<{ relations: number }>(
    `SELECT pg_catalog.count(*)::float8 AS relations
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND c.relpersistence <> 't'`,
  )
  return {
    sql: dropSql(
      dropped.map(({ name }) => name),
      schemas,
    ),
    obstacles: [
      ...dropped
        .filter(({ own }) => !own)
        .map(
          ({ name }) => `the extension "${name}" (another role owns it, and the backup's differs)`,
        ),
      ...(await listObstacles(session, schemas)),
    ],
    kept: kept.map(({ name }) => name),
    schemas,
    relations: count?.relations ?? 0,
  }
}

async function listExtensions(session: Session): Promise<InstalledExtension[]> {
  return session.query<InstalledExtension & Record<string, unknown>>(
    `SELECT e.extname AS name, e.extversion || ' in ' || n.nspname AS text,
       pg_catalog.pg_has_role(e.extowner, 'USAGE') AS own,
       e.extconfig IS NOT NULL AS rows, n.nspname AS schema
     FROM pg_catalog.pg_extension e
     JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
     ORDER BY 1`,
  )
}

/** Objects that the role may not drop, except extensions. */
async function listObstacles(session: Session, schemas: readonly string[]): Promise<string[]> {
  const staying = schemas.map(quoteText).join(', ')
  const queries: [what: string, sql: string][] = [
    [
      'the subscription',
      `SELECT pg_catalog.quote_ident(s.subname) AS name
       FROM pg_catalog.pg_subscription s
       JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
       WHERE d.datname = pg_catalog.current_database()`,
    ],
    [
      'the schema of another owner',
      `SELECT pg_catalog.quote_ident(nspname) AS name
       FROM pg_catalog.pg_namespace x
       WHERE ${isUserSchema} AND nspname NOT IN (${staying})
         AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')`,
    ],
    [
      'the object of another owner',
      `SELECT (pg_catalog.pg_identify_object(x.classid, x.objid, 0)).identity AS name
       FROM (${outsideSchemas} UNION ALL ${inSchemas(oidsOf(schemas))}) AS x
       WHERE NOT pg_catalog.pg_has_role(x.owner, 'USAGE') AND ${notOfExtension}
       LIMIT 20`,
    ],
    [
      'the large object of another owner',
      `SELECT oid::pg_catalog.text AS name
       FROM pg_catalog.pg_largeobject_metadata
       WHERE NOT pg_catalog.pg_has_role(lomowner, 'USAGE')
       LIMIT 5`,
    ],
  ]
  const obstacles: string[] = []
  for (const [what, sql] of queries)
    for (const { name } of await session.query<{ name: string }>(sql))
      obstacles.push(`${what} ${name}`)
  return obstacles
}

function oidsOf(schemas: readonly string[]): string {
  return `SELECT oid FROM pg_catalog.pg_namespace
    WHERE nspname IN (${schemas.map(quoteText).join(', ')}) AND ${isUserSchema}`
}

/** Drops extensions, schemas other than these, what is in these, and what is in no schema. */
function dropSql(extensions: readonly string[], schemas: readonly string[]): string {
  const names = extensions.length
    ? `ARRAY[${extensions.map(quoteText).join(', ')}]::pg_catalog.text[]`
    : "'{}'::pg_catalog.text[]"
  return `DO $emptying$
DECLARE one record;
BEGIN
  FOR one IN
    SELECT (pg_catalog.pg_identify_object(x.classid, x.objid, 0)).*
    FROM (${outsideSchemas}) AS x
    WHERE x.rank <= 2 AND ${notOfExtension}
    ORDER BY x.rank
  LOOP
    EXECUTE pg_catalog.format('DROP %s IF EXISTS %s CASCADE', one.type, one.identity);
  END LOOP;
  FOR one IN SELECT pg_catalog.unnest(${names}) AS name LOOP
    EXECUTE pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', one.name);
  END LOOP;
  FOR one IN
    SELECT nspname FROM pg_catalog.pg_namespace
    WHERE ${isUserSchema} AND nspname NOT IN (${schemas.map(quoteText).join(', ')})
  LOOP
    EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', one.nspname);
  END LOOP;
  LOOP
    SELECT (pg_catalog.pg_identify_object(x.classid, x.objid, 0)).* INTO one
    FROM (${outsideSchemas} UNION ALL ${inSchemas(oidsOf(schemas))}) AS x
    WHERE ${notOfExtension}
    ORDER BY x.rank LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE pg_catalog.format('DROP %s %s CASCADE',
      CASE one.type
        WHEN 'statistics object' THEN 'STATISTICS'
        WHEN 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER'
        ELSE one.type
      END, one.identity);
  END LOOP;
  PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata;
${resetDefaultPrivileges}
${resetPublicGrants}
END $emptying$`
}

const granteeName = `
      CASE a.grantee
        WHEN 0 THEN 'PUBLIC'
        ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee))
      END`

const resetDefaultPrivileges = `
  FOR one IN
    SELECT r.rolname, d.defaclobjtype,
      CASE d.defaclobjtype
        WHEN 'r' THEN 'TABLES'
        WHEN 'S' THEN 'SEQUENCES'
        WHEN 'f' THEN 'FUNCTIONS'
        WHEN 'T' THEN 'TYPES'
        WHEN 'n' THEN 'SCHEMAS'
        ELSE 'LARGE OBJECTS'
      END AS what,
      CASE
        WHEN d.defaclnamespace = 0 THEN ''
        ELSE pg_catalog.format('IN SCHEMA %I', n.nspname)
      END AS place,
      d.defaclnamespace = 0 AS everywhere,
      ARRAY(
        SELECT DISTINCT ${granteeName}
        FROM pg_catalog.aclexplode(d.defaclacl) a) AS grantees
    FROM pg_catalog.pg_default_acl d
    JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
  LOOP
    FOR i IN 1 .. coalesce(pg_catalog.array_length(one.grantees, 1), 0) LOOP
      EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s REVOKE ALL ON %s FROM %s',
        one.rolname, one.place, one.what, one.grantees[i]);
    END LOOP;
    IF one.everywhere THEN
      EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT ALL ON %s TO %I',
        one.rolname, one.what, one.rolname);
      IF one.defaclobjtype = 'f' THEN
        EXECUTE pg_catalog.format(
          'ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
          one.rolname);
      END IF;
      IF one.defaclobjtype = 'T' THEN
        EXECUTE pg_catalog.format(
          'ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT USAGE ON TYPES TO PUBLIC',
          one.rolname);
      END IF;
    END IF;
  END LOOP;`

/** Grants on `public` the privileges of a new database, from which those in a dump begin. */
const resetPublicGrants = `
  IF EXISTS (
    SELECT FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_init_privs i
      ON i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND i.objoid = n.oid
    WHERE n.nspname = 'public' AND n.nspacl IS DISTINCT FROM i.initprivs)
  THEN
    FOR one IN
      SELECT DISTINCT ${granteeName} AS grantee
      FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
      WHERE n.nspname = 'public'
    LOOP
      EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA public FROM %s', one.grantee);
    END LOOP;
    FOR one IN
      SELECT ${granteeName} AS grantee, a.privilege_type
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_init_privs i
        ON i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND i.objoid = n.oid,
        pg_catalog.aclexplode(i.initprivs) a
      WHERE n.nspname = 'public'
    LOOP
      EXECUTE pg_catalog.format('GRANT %s ON SCHEMA public TO %s',
        one.privilege_type, one.grantee);
    END LOOP;
  END IF;`
