import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WriterJob } from './writer.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const repositoryRoot = dirname(dirname(dirname(folder)));
const READY_TIMEOUT_MS = 30_000;

const running = new Set<ChildProcess>();
// An interrupted test run must not leave a writer behind; only synchronous work is possible here.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A writer that appends and consumes until the test ends it. */
export class WriterProcess {
  readonly pid: number;
  private readonly child: ChildProcess;
  private output = '';
  private readonly exited: Promise<unknown[]>;
  /** Resolves once the store is open; rejects when the writer ended before. */
  readonly ready: Promise<void>;
  /** Resolves once recovery reads; rejects when the writer ended before. */
  readonly recovering: Promise<void>;
  /** Resolves once the first append was acknowledged; rejects when the writer ended before. */
  readonly underLoad: Promise<void>;
  /** Resolves once an append was refused; rejects when the writer ended before. */
  readonly refused: Promise<void>;

  constructor(job: WriterJob) {
    const args = ['--import', 'tsx', '--conditions=@vernier/source', join(folder, 'writer.ts'), JSON.stringify(job)];
    this.child = spawn(process.execPath, args, { cwd: repositoryRoot, stdio: ['pipe', 'pipe', 'pipe'] });
    this.pid = this.child.pid!;
    running.add(this.child);
    this.exited = once(this.child, 'close');
    this.exited.then(() => running.delete(this.child));
    this.ready = this.says('ready');
    this.recovering = this.says('recovering');
    this.underLoad = this.says('acknowledged');
    this.refused = this.says('refused');
    // Nobody waits for all of these, and a writer may be killed before any of them.
    this.ready.catch(() => {});
    this.recovering.catch(() => {});
    this.underLoad.catch(() => {});
    this.refused.catch(() => {});
    this.child.stderr!.on('data', (text: Buffer) => {
      this.output = (this.output + text).slice(-4000);
    });
  }

  private says(word: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the writer did not say ${word} in time`)), READY_TIMEOUT_MS);
      this.child.stdout!.on('data', (text: Buffer) => {
        if (!text.includes(word)) return;
        clearTimeout(timer);
        resolve();
      });
      this.exited.then(([code, signal]) => {
        clearTimeout(timer);
        reject(new Error(`the writer ended with ${code ?? signal} before it said ${word}: ${this.output}`));
      });
    });
  }

  /** What the writer wrote to stderr, its last 4,000 characters. */
  get errors(): string {
    return this.output;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** SIGKILL. Throws when the writer had ended by itself: then nothing was killed under load. */
  async kill(): Promise<void> {
    const endedBefore = this.hasEnded;
    this.child.kill('SIGKILL');
    await this.exited;
    if (endedBefore) throw new Error(`the writer ended by itself with ${this.child.exitCode}: ${this.output}`);
  }

  /** For clean-up: ends it whatever state it is in. */
  async destroy(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** SIGSTOP; resolves when every thread stands still, so that no disk call of it is under way any more. */
  async stop(): Promise<void> {
    if (this.hasEnded) throw new Error(`the writer ended by itself with ${this.child.exitCode}: ${this.output}`);
    process.kill(this.pid, 'SIGSTOP');
    const deadline = Date.now() + 10_000;
    while (!threadsStopped(this.pid)) {
      if (Date.now() > deadline) throw new Error('the writer did not stop within 10 s');
      // There is no event for another process's threads; a thread in a disk call stops when the call returns.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

function threadsStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}
