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

/** The root action: one of the four, by the input `command`. */
export function holdfast(): Promise<void> {
  const command = inputText(process.env, 'command')
  const handler = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (handler) return run(command, handler)
  const names = Object.keys(commands).join(', ')
  const what = command === '' ? 'is empty' : `is ${shown(command)}, which is no command`
  return run('holdfast', () => Promise.reject(badInput('command', what, `Write one of: ${names}.`)))
}
