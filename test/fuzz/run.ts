/**
 * Runs rounds of one target in a process of its own: `run.ts JSON`, where JSON is a FuzzJob. Says on its standard output,
 * a line of JSON each: how many rounds are done (which is also its sign of life), and the find that ended it, if any.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random, roundSeed } from './random.ts';
import type { Session } from './target.ts';
import { targets } from './targets.ts';

export interface FuzzJob {
  target: string;
  seed: number;
  /** The first round and the one behind the last. */
  from: number;
  to: number;
  /** Where working directories are made; a file system in memory makes a run several times as fast. */
  directory?: string;
}

const job = JSON.parse(process.argv[2]!) as FuzzJob;
const target = targets.find(({ name }) => name === job.target)!;
const say = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
// The parent may die in any way; its end of the pipe then closes.
process.stdin.on('end', () => process.exit(3)).resume();
let round = job.from;
let sessionFrom = job.from;

function found(error: unknown): never {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  say({ find: text, round, sessionFrom });
  // Some of what was opened may be in any state by now.
  process.exit(1);
}
process.on('uncaughtException', found);
process.on('unhandledRejection', found);

const home = mkdtempSync(join(job.directory ?? tmpdir(), 'vernier-fuzz-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
let session: Session | undefined;
let saidAt = 0;
try {
  while (round < job.to) {
    sessionFrom = round;
    const directory = join(home, String(round));
    session = await target.open(directory);
    // Sessions end at the same rounds whoever runs them, so that a find is repeated from the last such point.
    const end = Math.min(job.to, (Math.floor(round / target.sessionRounds) + 1) * target.sessionRounds);
    for (; round < end; round++) {
      await session.round(new Random(roundSeed(job.seed, target.name, round)));
      const now = Date.now();
      if (now - saidAt > 500) say({ done: round + 1 - job.from, rss: process.memoryUsage.rss() });
      if (now - saidAt > 500) saidAt = now;
    }
    await session.close();
    rmSync(directory, { recursive: true, force: true });
  }
} catch (error) {
  found(error);
}
say({ done: round - job.from, rss: process.memoryUsage.rss(), end: true });
process.exit(0);
