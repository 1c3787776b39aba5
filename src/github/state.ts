import { saveState } from '@actions/core'
import { isDeepStrictEqual } from 'node:util'
import type { Held, Work } from '../work.ts'
import type { Env } from './inputs/input.ts'

const key = 'held'

/**
 * Returns a list of held things that is written to the runner's state at every change. The post
 * step reads it back, also after a cancel or a crash. Each change is written at once, so that a
 * thing that is noted before it exists cannot be missed. The runner keeps the last value of a key.
 */
export function heldInState(
  save: (name: string, value: string) => void = saveState,
): Pick<Work, 'hold' | 'release'> {
  let held: Held[] = []
  return {
    hold(thing) {
      held = [...held, thing]
      save(key, JSON.stringify(held))
    },
    release(thing) {
      const at = held.findIndex((each) => isDeepStrictEqual(each, thing))
      if (at < 0) return
      held = held.toSpliced(at, 1)
      save(key, JSON.stringify(held))
    },
  }
}

/** Returns what the main step still held; empty if it ended well, or never began. */
export function heldBefore(env: Env): Held[] {
  try {
    const held: unknown = JSON.parse(env[`STATE_${key}`] ?? '[]')
    return Array.isArray(held) ? held.filter(isHeld) : []
  } catch {
    return []
  }
}

function isHeld(thing: unknown): thing is Held {
  return (
    typeof thing === 'object' && thing !== null && 'kind' in thing && typeof thing.kind === 'string'
  )
}
