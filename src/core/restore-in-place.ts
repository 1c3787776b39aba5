export interface RestoredInPlace { checks: string[] }
export async function restoreInPlace(..._a: never[]): Promise<never> { throw new Error('x') }
