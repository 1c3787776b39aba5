import { setSecret } from '@actions/core'
import { inputLines, inputText, type Env } from './inputs/input.ts'

/** The secrets of this process, and how to redact texts that the runner does not mask. */
export interface Secrets {
  /** Every form in which a secret can appear, longest first. */
  readonly values: readonly string[]
  /**
   * Sentences about secrets that are not masked. A notable one concerns a database that is not
   * disposable.
   */
  readonly warnings: readonly { text: string; notable: boolean }[]
  /** Returns a text without secrets and without passwords in URLs. */
  redact: (text: string) => string
  /**
   * Returns the same value with every text in it redacted. Redact before rendering, because
   * escaping can hide a secret from `redact`.
   */
  redactAll: <T>(value: T) => T
}

/**
 * If the runner masked one of these, it would blank the word in every line of the job, and drop
 * every output that contains it.
 */
const commonWords = new Set(
  (
    'postgres postgresql password passw0rd secret admin root user username test testing example ' +
    'default database docker changeme letmein welcome public master production staging ' +
    'development localhost runner github true false null'
  ).split(' '),
)
/** Passwords with fewer characters are not masked. */
const minPasswordLength = 6

/** Variables of the environment that hold a secret. */
const secretVariables = [
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'ACTIONS_RUNTIME_TOKEN',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
]

interface Found {
  values: Set<string>
  warnings: Secrets['warnings'][number][]
}

/**
 * Finds every secret in the environment of this process: database URLs, their passwords (plain and
 * percent-encoded), PGPASSWORD, age identities (also in `encrypt-to`, where they are put by
 * mistake), S3 secrets and tokens.
 */
export function findSecrets(env: Env): Secrets {
  const found: Found = { values: new Set(), warnings: [] }
  addUrls(env, found)
  addIdentities(env, found)
  for (const name of secretVariables) found.values.add(env[name]?.trim() ?? '')
  found.values.add(inputText(env, 'github-token'))
  const longestFirst = [...found.values]
    .filter((value) => value.length >= 4)
    .sort((a, b) => b.length - a.length)
  const redactText = (text: string): string => redact(text, longestFirst)
  return {
    values: longestFirst,
    warnings: found.warnings,
    redact: redactText,
    redactAll: (value) => mapTexts(value, redactText),
  }
}

function addUrls(env: Env, found: Found): void {
  for (const name of ['database-url', 'scratch-url', 'target-url']) {
    const url = inputText(env, name)
    const passwords = passwordsIn(url)
    // a URL without a password is no secret; a single word in its place would be blanked everywhere
    if (passwords.length > 0) found.values.add(url)
    // the command line writes PGPASSWORD into a URL without a password
    const isVariable = passwords.every((raw) => decoded(raw) === env['PGPASSWORD'])
    addPasswords(passwords, isVariable ? 'PGPASSWORD' : name, found)
  }
  for (const line of inputLines(env, 'storage')) addPasswords(passwordsIn(line), 'storage', found)
  if (env['PGPASSWORD']) addPasswords([encodeURIComponent(env['PGPASSWORD'])], 'PGPASSWORD', found)
}

function addIdentities(env: Env, { values }: Found): void {
  for (const line of inputLines(env, 'decrypt-with', { comments: true }))
    if (!/^age1/.test(line)) values.add(line)
  for (const line of inputLines(env, 'encrypt-to'))
    for (const [key] of line.matchAll(/AGE-(SECRET-KEY|PLUGIN)-\S+/gi)) values.add(key)
}

/** Adds the passwords of one origin in every form, or a warning if all of them are too weak. */
function addPasswords(passwords: readonly string[], origin: string, found: Found): void {
  const pairs = passwords.map((raw) => ({ raw, plain: decoded(raw) }))
  const strong = pairs.filter(
    ({ plain }) => plain.length >= minPasswordLength && !commonWords.has(plain.toLowerCase()),
  )
  for (const { raw, plain } of strong)
    for (const form of [raw, plain, encodeURIComponent(plain), strictlyEncoded(plain)])
      found.values.add(form)
  if (passwords.length === 0 || strong.length > 0) return
  const text =
    `The password in ${origin} is not masked in logs: it is a common word, or shorter than ` +
    `${minPasswordLength} characters, and masking it would blank that word everywhere. ` +
    'Use a longer, random password.'
  if (!found.warnings.some((warning) => warning.text === text))
    found.warnings.push({ text, notable: origin !== 'scratch-url' })
}

/**
 * Makes the runner mask every secret in the log from here on. Call it before anything else that
 * could print one.
 */
export function maskSecrets(env: Env): Secrets {
  const secrets = findSecrets(env)
  for (const value of secrets.values) setSecret(value)
  return secrets
}

/** Replaces the secrets, and every text that stands where a URL has its password. */
function redact(text: string, secrets: readonly string[]): string {
  const without = secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
  // in two steps, each linear in the length of the text
  return without.replace(/(?<![^\s@'"`<>])[^\s@'"`<>]+@/g, (word) =>
    word.replace(/([a-z0-9+.-]:\/\/[^:/]*):.+@$/i, '$1:***@'),
  )
}

function mapTexts<T>(value: T, map: (text: string) => string): T {
  if (typeof value === 'string') return map(value) as T
  if (Array.isArray(value)) return value.map((each: unknown) => mapTexts(each, map)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    // a kind is one of a fixed set of words, and a report with an unknown one cannot be rendered
    Object.entries(value).map(([key, each]) => [
      key,
      key === 'kind' ? each : mapTexts<unknown>(each, map),
    ]),
  ) as T
}

/**
 * Returns every text that may be a password in a URL, or in a text given in place of one: before the
 * @ of the authority; before the last @ of all (a password that was not encoded); in the parameters;
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

/** Also encodes the characters that encodeURIComponent leaves (sub-delims of RFC 3986). */
function strictlyEncoded(plain: string): string {
  return encodeURIComponent(plain).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
