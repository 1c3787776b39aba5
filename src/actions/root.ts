/**
 * The actions: they read inputs, call the code below, and write outputs and a report. This file is
 * the root action, which runs one of the four.
 */
import { badInput, shown } from '../errors/bad-input.ts'
import { inputText } from '../github/inputs/input.ts'
import { backupStep } from './backup.ts'
import { restoreStep } from './restore.ts'
import { run, type Step } from './run.ts'
import { testMigrationStep } from './test-migration.ts'
import { verifyStep } from './verify.ts'

const commands: Record<string, (step: Step) => Promise<void>> = {
  backup: backupStep,
  verify: verifyStep,
  'test-migration': testMigrationStep,
  restore: restoreStep,
}

/** Runs the action that the input `command` names. */
export function holdfast(): Promise<void> {
  const command = inputText(process.env, 'command')
  const handler = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (handler) return run(command, handler)
  const problem = command === '' ? 'is empty' : `is ${shown(command)}, which is not a command`
  const allowed = `It takes one of: ${Object.keys(commands).join(', ')}.`
  return run('holdfast', () => Promise.reject(badInput('command', problem, allowed)))
}
