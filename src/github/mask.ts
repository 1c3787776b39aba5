import { setSecret } from '@actions/core'
import { inputLines, inputText, type Env } from './inputs/input.ts'

/**
 * What must never be shown, and how to take it out of texts that the runner does not mask for us
 * (comments, report files).
 */
export interface Secrets {
  /** Every form in which a secret may turn up, longest first. */
  readonly values: readonly string[]
  /**
   * Sentences about secrets that could not be masked. `notable` ones concern a database that is not
   * thrown away.
   */
  readonly warnings: readonly { text: string; notable: boolean }[]
  redact: (text: string) => string
  /**
   * The same value, with every text in it redacted: before it is rendered, for escaping would hide
   * a secret from `redact`.
   */
  redactAll: <T>(value: T) => T
}

/**
 * Masking one of these would blank the word in every line of the job, and drop every output that
 * holds it.
 */
const commonWords = new Set(
  'postgres postgresql password passw0rd secret admin root user username test testing example default database docker changeme letmein welcome public master production staging development localhost runner github true false null'.split(
    ' ',
  ),
)
const shortest = 6

/**
 * Finds every secret that this process was given: database URLs, their passwords as they are and
 * percent-encoded, PGPASSWORD, age identities (in encrypt-to as well, where they are put by
 * mistake), S3 secrets, tokens.
 */
export function findSecrets(env: Env): Secrets {
  const values = new Set<string>()
  const warnings: Secrets['warnings'][number][] = []
  const passwords = (found: readonly string[], origin: string): void => {
    const pairs = found.map((raw) => ({ raw, plain: decoded(raw) }))
    const strong = pairs.filter(
      ({ plain }) => plain.length >= shortest && !commonWords.has(plain.toLowerCase()),
    )
    for (const { raw, plain } of strong) {
      for (const form of [raw, plain, encodeURIComponent(plain), strictlyEncoded(plain)])
        values.add(form)
    }
    if (found.length === 0 || strong.length > 0) return
    warnings.push({
      text: `The password in ${origin} is not masked in logs: it is a common word, or shorter than ${shortest} characters, and masking it would blank that word everywhere. Use a longer, random one.`,
      notable: origin !== 'scratch-url',
    })
  }
  for (const name of ['database-url', 'scratch-url', 'target-url']) {
    const url = inputText(env, name)
    const found = passwordsIn(url)
    // a URL without a password is no secret, and a bare word in its place would be blanked
    // everywhere
    if (found.length > 0) values.add(url)
    passwords(found, name)
  }
  for (const line of inputLines(env, 'storage')) passwords(passwordsIn(line), 'storage')
  if (env['PGPASSWORD']) passwords([encodeURIComponent(env['PGPASSWORD'])], 'PGPASSWORD')
  for (const line of inputLines(env, 'decrypt-with', { comments: true }))
    if (!/^age1/.test(line)) values.add(line)
  for (const line of inputLines(env, 'encrypt-to'))
    for (const [key] of line.matchAll(/AGE-(SECRET-KEY|PLUGIN)-\S+/gi)) values.add(key)
  for (const name of [
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'ACTIONS_RUNTIME_TOKEN',
    'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
  ])
    values.add(env[name]?.trim() ?? '')
  values.add(inputText(env, 'github-token'))
  values.delete('')
  const longestFirst = [...values]
    .filter((value) => value.length >= 4)
    .sort((a, b) => b.length - a.length)
  const redactText = (text: string): string => redact(text, longestFirst)
  return {
    values: longestFirst,
    warnings,
    redact: redactText,
    redactAll: (value) => mapTexts(value, redactText),
  }
}

/**
 * Has the runner blank every secret from here on. Comes before anything else that could print one.
 */
export function maskSecrets(env: Env): Secrets {
  const secrets = findSecrets(env)
  for (const value of secrets.values) setSecret(value)
  return secrets
}

/** Replaces the secrets, and whatever stands where a URL has its password. */
function redact(text: string, secrets: readonly string[]): string {
  const without = secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
  return without.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:@/'"`<>]*):[^\s@'"`<>]+@/gi, '$1:***@')
}

function mapTexts<T>(value: T, map: (text: string) => string): T {
  if (typeof value === 'string') return map(value) as T
  if (Array.isArray(value)) return value.map((each: unknown) => mapTexts(each, map)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    // a kind is a word of ours, and a report with an unknown one cannot be rendered
    Object.entries(value).map(([key, each]) => [
      key,
      key === 'kind' ? each : mapTexts<unknown>(each, map),
    ]),
  ) as T
}

/**
 * Every password that a URL, or what somebody typed in place of one, may hold: before the
 * authority's @; before the last @ of all, for a password that was not encoded; in the parameters;
 * in libpq's `password=…`. Percent-encoded as found.
 */
function passwordsIn(text: string): string[] {
  const found = new Set<string>()
  for (const pattern of [
    /^[a-z][a-z0-9+.-]*:\/\/[^:/?#]*:([^/?#]+)@/i,
    /^postgres(?:ql)?:\/\/[^:/?#]*:(\S+)@/i,
  ]) {
    const password = pattern.exec(text)?.[1]
    if (password) found.add(password)
  }
  const parameter =
    /(?:^|[?&\s])(?:password|secret|secret_?access_?key|session_?token|token)=([^&\s]+)/gi
  for (const [, value] of text.matchAll(parameter)) if (value) found.add(value)
  return [...found]
}

function decoded(raw: string): string {
  try {
    return decodeURIComponent(raw)
  } catch {
    return raw
  }
}

/** With the characters encoded too that encodeURIComponent leaves (RFC 3986's sub-delims). */
function strictlyEncoded(plain: string): string {
  return encodeURIComponent(plain).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
