import { readFileSync } from 'node:fs';

/** Linux counts CPU time in ticks of 10 ms (USER_HZ, fixed at 100 in what the kernel shows to programs). */
const TICK_MS = 10;

export interface ProcessMemory {
  /** Private memory (heap, anonymous mappings), MiB. */
  rssAnonMiB: number;
  /** All resident memory, with mapped files that the page cache holds anyway, MiB. */
  rssMiB: number;
}

/** utime + stime of a process since its start, milliseconds, all threads. Reads /proc, so Linux only. */
export function cpuMs(pid: number): number {
  const { user, system } = cpuTimesMs(pid);
  return user + system;
}

/** utime and stime of a process since its start, milliseconds, all threads. */
export function cpuTimesMs(pid: number): { user: number; system: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) * TICK_MS, system: Number(fields[12]) * TICK_MS };
}

export function memory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
  return { rssAnonMiB: kib('RssAnon') / 1024, rssMiB: kib('VmRSS') / 1024 };
}
