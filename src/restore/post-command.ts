import type { Programs } from '../postgres/programs/find-programs.ts'
import { type Command, endOf, runCommand } from '../postgres/programs/user-command.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import type { PostCommand, Restored } from './result.ts'

const defaultTimeout = 30 * 60_000

type PostCommandOptions = Pick<
  RestoreOptions,
  'postCommand' | 'workingDirectory' | 'timeout' | 'environment' | 'target'
>

/**
 * Runs the post-command with a connection to the restored database. Returns undefined without a
 * post-command. A command that fails is a result, not an error: the restore is done.
 */
export async function runPostCommand(
  options: PostCommandOptions,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<PostCommand | undefined> {
  const { postCommand, workingDirectory = '.', timeout = defaultTimeout } = options
  if (postCommand === undefined) return undefined
  const command: Command = {
    command: postCommand,
    workingDirectory,
    timeout,
    environment: options.environment ?? {},
  }
  work.log.info('Running the post-command')
  const ended = await runCommand(command, options.target, programs, work)
  const succeeded = ended.exitCode === 0 && !ended.timedOut
  return {
    command: postCommand,
    ...(succeeded ? {} : { failed: endOf(ended, command) }),
    took: ended.took,
    output: ended.output,
  }
}

/** Runs the post-command, and records it and its duration in the result. */
export async function runAndRecordPostCommand(
  result: Restored,
  options: PostCommandOptions,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<PostCommand | undefined> {
  const postCommand = await runPostCommand(options, programs, work)
  if (!postCommand) return undefined
  result.postCommand = postCommand
  result.timings.command = postCommand.took
  return postCommand
}
