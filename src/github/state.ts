import { saveState } from '@actions/core'
import { isDeepStrictEqual } from 'node:util'
import type { Held, Work } from '../work.ts'
import type { Env } from './inputs/input.ts'

const key = 'held'

/**
 * The list of held things, written to the runner's state at every change: the step after this one
 * (`post`) reads it back, on a cancel and after a crash too. Written at once, so that what is noted
 * before a thing exists is there if it does. The runner takes the last value of a key.
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

/** What the step before left held; empty when it ended well, or never began. */
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
