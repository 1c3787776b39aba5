import type { Programs } from '../postgres/programs/find-programs.ts'
import { type Command, endOf, runCommand } from '../postgres/programs/user-command.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import type { Objective, PostCommand, Restored } from './result.ts'

/** Whether the time held; too long is a warning, since the restore is done. */
export function objectiveOf(
  limit: number | undefined,
  took: number,
  work: Work,
): Objective | undefined {
  if (limit === undefined) return undefined
  const held = took <= limit
  const figures = `${(took / 1000).toFixed(1)} s, of the ${limit / 1000} s that max-restore-time allows`
  work.log[held ? 'info' : 'warning'](
    held ? `The restore took ${figures}.` : `The restore took longer than it may: ${figures}.`,
  )
  return { limit, took, held }
}

/**
 * Runs the command that follows a restore, with its database's connection. Its failure is a result:
 * what was restored is restored.
 */
export async function runPostCommand(
  options: Pick<
    RestoreOptions,
    'postCommand' | 'workingDirectory' | 'timeout' | 'environment' | 'target'
  >,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<PostCommand | undefined> {
  const {
    postCommand: command,
    workingDirectory = '.',
    timeout = 30 * 60_000,
    environment = {},
  } = options
  if (command === undefined) return undefined
  const asked: Command = { command, workingDirectory, timeout, environment }
  work.log.info('Running the post-command')
  const ended = await runCommand(asked, options.target, programs, work)
  const well = ended.exitCode === 0 && !ended.timedOut
  return {
    command,
    ...(well ? {} : { failed: endOf(ended, asked) }),
    took: ended.took,
    output: ended.output,
  }
}

/** Tells in the result how the time until now was, where something was promised of it. */
export function judgeTime(
  result: Restored,
  { maxRestoreTime }: Pick<RestoreOptions, 'maxRestoreTime'>,
  started: number,
  work: Work,
): void {
  const objective = objectiveOf(maxRestoreTime, Date.now() - started, work)
  if (objective) result.objective = objective
}

/** Runs the command that follows, and tells of it in the result. */
export async function command(
  result: Restored,
  options: Parameters<typeof runPostCommand>[0],
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<PostCommand | undefined> {
  const ran = await runPostCommand(options, programs, work)
  if (!ran) return undefined
  result.postCommand = ran
  result.timings.command = ran.took
  return ran
}
