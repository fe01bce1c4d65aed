// Runs the built command as a user does: a process of its own, told apart by what it prints and how it ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import type { ReadyFile } from '../src/server/ready-file.ts';

/** As users have it, and as the single modules that it is made of. */
export const bin = fileURLToPath(new URL('../bundle/bin.js', import.meta.url));
const unbundledBin = fileURLToPath(new URL('../dist/bin.js', import.meta.url));

export interface RunOptions {
  input?: string | Buffer;
  env?: Record<string, string>;
  cwd?: string;
  /** In front of `node bin.js`: setpriv, strace … */
  wrapper?: readonly string[];
  nodeArgs?: readonly string[];
  /** The command as single modules. */
  isUnbundled?: boolean;
}

export interface Finished {
  /** 137 when it died of SIGKILL, as a shell says it. */
  code: number;
  stdout: string;
  stderr: string;
}

/** A command that runs; everything it prints is kept. */
export class Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = '';
  stderr = '';
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(args: readonly string[], options: RunOptions = {}) {
    const file = options.isUnbundled === true ? unbundledBin : bin;
    const line = [...(options.wrapper ?? []), process.execPath, ...(options.nodeArgs ?? []), file, ...args];
    const { NAMESRV_ADDR: _, ...env } = process.env;
    this.child = spawn(line[0]!, line.slice(1), {
      cwd: options.cwd,
      env: { ...env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // Who ends before it has read its input is no failure of the test.
    this.child.stdin!.on('error', () => {});
    this.child.stdin!.end(options.input ?? '');
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      for (const look of this.#waiting) look();
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      for (const look of this.#waiting) look();
    });
    this.finished = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        this.#ended = true;
        for (const look of this.#waiting) look();
        const shellCode = signal === 'SIGKILL' ? 137 : signal === 'SIGTERM' ? 143 : (code ?? 1);
        resolve({ code: shellCode, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Resolves when the pattern stands in what was printed; rejects when the process ends without. */
  printed(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(this[stream]);
        if (found) resolve(found);
        else if (this.#ended) reject(new Error(`ended without printing ${pattern}:\n${this.stdout}\n${this.stderr}`));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export const run = (args: readonly string[], options?: RunOptions): Promise<Finished> =>
  new Running(args, options).finished;

export function endAfter(t: TestContext, running: Running): void {
  cleanUp(t, async () => {
    running.child.kill('SIGKILL');
    await running.finished;
  });
}

export interface Started extends Running {
  ready: ReadyFile;
}

/** A test that writes little must neither reserve a gigabyte nor read an index of 400 MB to compare a directory. */
export const smallFiles: readonly string[] = [
  'mappedFileSizeCommitLog=1048576',
  'mappedFileSizeConsumeQueue=20000',
  'maxHashSlotNum=1000',
  'maxIndexNum=20000',
].flatMap((setting) => ['--set', setting]);

/** A broker with its nameserver on free ports, ended after the test. */
export async function startBroker(
  t: TestContext,
  dataDir: string,
  args: readonly string[] = [],
  options?: RunOptions,
): Promise<Started> {
  const given = args.indexOf('--ready-file');
  const readyFile = given < 0 ? join(await temporaryFolder(t, 'cli'), 'ready.json') : args[given + 1]!;
  const ports = ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy', '--ready-file', readyFile];
  const running = new Running(['start', dataDir, ...smallFiles, ...ports, ...args], options) as Started;
  endAfter(t, running);
  await running.printed(/^ready after/m);
  running.ready = JSON.parse(readFileSync(readyFile, 'utf8')) as ReadyFile;
  return running;
}

/** Names, modes and contents of everything below a folder: equal before and after means untouched. */
export function treeHash(folder: string): string {
  const hash = createHash('sha256');
  const walk = (path: string, name: string): void => {
    const stat = lstatSync(path);
    hash.update(`${name}\0${stat.mode}\0${stat.isFile() ? stat.size : ''}\n`);
    if (stat.isFile()) hash.update(readFileSync(path));
    if (stat.isDirectory()) for (const child of readdirSync(path).sort()) walk(join(path, child), `${name}/${child}`);
  };
  walk(folder, '');
  return hash.digest('hex');
}

/** Why a test that needs this is skipped; false when it runs. In CI it always runs, and fails where it cannot. */
export const skipUnless = (possible: boolean, why: string): string | false =>
  possible || process.env.CI !== undefined ? false : why;

export const isRoot = process.getuid?.() === 0;
