/**
 * Milliseconds since the process began, or since scripts/start.mjs had installed and built what was missing: it runs in
 * the same process and leaves a mark.
 */
export function sinceStart(): number {
  return performance.now() - (performance.getEntriesByName('vernier start')[0]?.startTime ?? 0);
}
