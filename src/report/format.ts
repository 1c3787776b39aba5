/** Figures as a person reads them. */

/** A size: `0 B`, `999 B`, `1.2 KiB`, `34 MiB`. Units are powers of 1024, and say so. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** A whole number with thousands separated: `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 row`, `2 rows`, `1,234 rows`. */
export function formatMany(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

/** How long something took, from milliseconds: `850 ms`, `4.2 s`, `3 min 20 s`, `1 h 4 min`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`
  const tenths = Math.round(milliseconds / 100) / 10
  if (tenths < 60) return `${tenths.toFixed(1)} s`
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/**
 * How old something is, from milliseconds, in words: `40 seconds`, `3 hours`, `2 days and 4 hours`.
 */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 60) return formatMany(seconds, 'second')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return formatMany(minutes, 'minute')
  const hours = Math.floor(minutes / 60)
  if (hours < 24)
    return minutes % 60 && hours < 6
      ? `${formatMany(hours, 'hour')} and ${formatMany(minutes % 60, 'minute')}`
      : formatMany(hours, 'hour')
  const days = Math.floor(hours / 24)
  return hours % 24 && days < 7
    ? `${formatMany(days, 'day')} and ${formatMany(hours % 24, 'hour')}`
    : formatMany(days, 'day')
}

/**
 * A point in time from ISO 8601, in UTC, to the second: `2026-11-21 03:10:45 UTC`. Returns a text
 * that is not a time unchanged.
 */
export function formatMoment(iso: string): string {
  const date = new Date(iso)
  return Number.isNaN(date.getTime())
    ? iso
    : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
