/** Reports a failure at once, before the body that failed has ended. */
type OnFailure = (error: unknown) => void

/**
 * Runs two bodies at the same time. At the first failure it calls `stop`, so that the other ends
 * too, and waits for both. Returns both values, or throws the first failure.
 */
export async function runBoth<A, B>(
  a: (onFailure: OnFailure) => Promise<A>,
  b: (onFailure: OnFailure) => Promise<B>,
  stop: () => void,
): Promise<[A, B]> {
  const failures: unknown[] = []
  const fail = (error: unknown): void => {
    failures.push(error)
    stop()
  }
  const both = [a(fail), b(fail)] as const
  await Promise.allSettled(both.map((body: Promise<unknown>) => body.catch(fail)))
  if (failures.length) throw failures[0]
  return Promise.all(both)
}
