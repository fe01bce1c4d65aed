const ISO_TIME = /^(\d{4})-(\d\d)-(\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/**
 * A time as typed: `2026-01-31`, `2026-01-31T12:00:00Z`; undefined when it is none. Date.parse alone would make some year
 * of every text with a number in it (`frist 1`, `5`) and the 3rd of March of the 31st of February.
 */
export function timeOf(typed: string): number | undefined {
  const found = ISO_TIME.exec(typed);
  if (found === null) return undefined;
  const [year, month, day] = found.slice(1, 4).map(Number) as [number, number, number];
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) return undefined;
  const ms = Date.parse(typed);
  return Number.isNaN(ms) ? undefined : ms;
}
