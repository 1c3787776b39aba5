import { setOutput } from '@actions/core'

export type Outputs = ReadonlyMap<string, string | number | boolean>

/** Writes the step's outputs. The runner drops an output that contains a masked secret. */
export function writeOutputs(outputs: Outputs): void {
  for (const [name, value] of outputs) setOutput(name, String(value))
}
