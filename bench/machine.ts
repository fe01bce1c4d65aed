import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import type { Hardware } from './results.ts';

function output(command: string, args: string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout?.trim() ?? '';
}

/** What a reader needs to place the numbers; no names of hosts or paths. */
export function describeHardware(): Hardware {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform} ${release().split('-')[0]}`,
    fileSystem: output('df', ['--output=fstype', tmpdir()]).split('\n').at(-1) || 'unknown',
  };
}

/** The version line that `java -version` prints. */
export function javaVersion(): string {
  return spawnSync('java', ['-version'], { encoding: 'utf8' }).stderr?.split('\n', 1)[0]?.trim() || 'not installed';
}

/** Share of all cores' time that somebody used, 0 to 1, over `ms`: a machine that is busy already measures nothing. */
export async function busyShare(ms: number): Promise<number> {
  const before = cpuTimes();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const after = cpuTimes();
  return 1 - (after.idle - before.idle) / (after.total - before.total);
}

function cpuTimes(): { idle: number; total: number } {
  const fields = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  // The fourth field is idle, the fifth waits for the disk and is idle too.
  return { idle: fields[3]! + fields[4]!, total: fields.reduce((sum, value) => sum + value, 0) };
}
