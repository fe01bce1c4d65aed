import { readFileSync } from 'node:fs';

/** Descriptors that are left to files, threads and libraries: a quarter of the limit, within these bounds. */
const RESERVE_MIN = 96;
const RESERVE_MAX = 4096;

/** Sockets that servers of this process have accepted and that are open: they share the limit. */
let acceptedSockets = 0;

/** Files and sockets that this process may have open; infinite where nothing says so. */
export function descriptorLimit(): number {
  try {
    return softLimit(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return reportedLimit();
  }
}

/** From the text of /proc/self/limits: `Max open files            1024                 1048576              files`. */
export function softLimit(limits: string): number {
  const limit = Number(/^Max open files +(\d+) /m.exec(limits)?.[1]);
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}

/** Where there is no /proc. It takes milliseconds, once. */
function reportedLimit(): number {
  const report = process.report?.getReport() as { userLimits?: { open_files?: { soft?: unknown } } } | undefined;
  const soft = Number(report?.userLimits?.open_files?.soft);
  return Number.isNaN(soft) ? Number.POSITIVE_INFINITY : soft;
}

/** How many of a limit may be connections. */
export function connectionsWithin(limit: number): number {
  const reserve = Math.min(RESERVE_MAX, Math.max(RESERVE_MIN, Math.floor(limit / 4)));
  return Math.max(1, limit - reserve);
}

/** What the connections of all servers of this process may take together. */
export class AcceptedSockets {
  readonly #max: number;

  constructor(limit: number = descriptorLimit()) {
    this.#max = connectionsWithin(limit);
  }

  get max(): number {
    return this.#max;
  }

  get isFull(): boolean {
    return acceptedSockets >= this.#max;
  }

  add(): void {
    acceptedSockets++;
  }

  remove(): void {
    acceptedSockets--;
  }
}
