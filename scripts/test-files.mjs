// Runs test files, each in a process group of its own with a time limit from outside. `node --test --test-timeout` is
// not enough: it asks the file's process to end by SIGTERM and then waits for it, so that a process which handles SIGTERM
// and blocks its event loop stalls the run for ever, and it leaves the brokers that the file started. Here everything
// the file started is ended, the file is named, and the other files are still run.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** After the file's process ended, for what it wrote last; a process it left behind may hold the pipe open. */
const PIPE_GRACE_MS = 3_000;
/** Between SIGTERM and SIGKILL, so that who can still do so unmounts and removes what is its own. */
const TERM_GRACE_MS = 3_000;
const reporter = pathToFileURL(join(import.meta.dirname, 'test-tally.mjs')).href;
const groups = new Set();

function killGroup(child, signal = 'SIGKILL') {
  try {
    if (process.platform === 'win32') spawnSync('taskkill', ['/pid', String(child.pid), '/T', '/F']);
    else process.kill(-child.pid, signal);
  } catch (error) {
    // The whole group has ended, which is the usual case. A Mac says EPERM when all that is left of it are zombies.
    if (error.code !== 'ESRCH' && error.code !== 'EPERM') throw error;
  }
}

/** What the reporter wrote: numbers of tests, the failed ones, and the last one that said anything. */
function readTally(file) {
  const tally = { pass: 0, fail: 0, skip: 0, failed: [], last: undefined };
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // The process ended before the reporter began.
  }
  for (const line of text.split('\n').slice(0, -1)) {
    const said = JSON.parse(line);
    tally.last = said.name;
    if (said.event === 'start') continue;
    tally[said.event] += 1;
    if (said.event === 'fail') tally.failed.push(said.name);
  }
  return tally;
}

/** Resolves with the file's tally; its output goes to `write`, as it comes or, when others run beside it, at the end. */
function runFile(file, { limitMs, nodeArgs, cwd, env, live, write, scratch }) {
  return new Promise((resolve) => {
    const tallyFile = join(scratch, `${groups.size}-${process.hrtime.bigint()}`);
    const reporters = ['spec', 'stdout', reporter, tallyFile];
    const child = spawn(
      process.execPath,
      [
        ...nodeArgs,
        ...reporters.map((value, index) => `--test-reporter${index % 2 === 0 ? '' : '-destination'}=${value}`),
        file,
      ],
      { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' },
    );
    groups.add(child);
    const began = performance.now();
    const chunks = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (live ? write(chunk) : chunks.push(chunk)));
    let overdue = false;
    let grace;
    const timer = setTimeout(() => {
      overdue = true;
      killGroup(child, 'SIGTERM');
      grace = setTimeout(() => killGroup(child), TERM_GRACE_MS);
    }, limitMs);
    child.once('exit', () => {
      clearTimeout(timer);
      clearTimeout(grace);
      grace = setTimeout(() => {
        killGroup(child);
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPE_GRACE_MS);
    });
    child.once('close', (code, signal) => {
      clearTimeout(grace);
      killGroup(child);
      groups.delete(child);
      const tally = readTally(tallyFile);
      if (overdue)
        tally.failed.push(`not done after ${limitMs / 1000} s, ended; last heard of: ${tally.last ?? 'nothing'}`);
      else if (code !== 0 && tally.fail === 0) tally.failed.push(`the process ended with ${code ?? signal}`);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      for (const chunk of chunks) write(chunk);
      write(`${tally.failed.length > 0 ? '✖' : '●'} ${file} (${seconds} s)\n\n`);
      resolve({ file, ...tally });
    });
  });
}

/**
 * Runs the files of `alone` one by one, then the others, `concurrency` at a time, and answers the exit code: 0 when every
 * test of every file passed. `limitMs(file)` is how long that file may take.
 */
export async function runTestFiles(files, options) {
  const {
    alone = [],
    concurrency,
    limitMs,
    nodeArgs = [],
    cwd,
    write = (chunk) => process.stdout.write(chunk),
  } = options;
  const { NODE_TEST_CONTEXT: _, ...env } = { ...process.env, ...options.env };
  // Piped, a file's process would not know that its output ends on a terminal.
  if (process.stdout.isTTY) env.FORCE_COLOR ??= '1';
  const scratch = mkdtempSync(join(tmpdir(), 'vernier-tests-'));
  const stop = () => {
    for (const child of groups) killGroup(child, 'SIGTERM');
    setTimeout(() => process.exit(1), groups.size === 0 ? 0 : TERM_GRACE_MS);
  };
  const killAll = () => {
    for (const child of groups) killGroup(child);
    rmSync(scratch, { recursive: true, force: true });
  };
  process.on('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  const began = performance.now();
  const results = [];
  const run = async (waiting, sideBySide) => {
    const live = sideBySide === 1;
    const worker = async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift())
        results.push(await runFile(file, { limitMs: limitMs(file), nodeArgs, cwd, env, live, write, scratch }));
    };
    await Promise.all(Array.from({ length: sideBySide }, worker));
  };
  await run([...alone], 1);
  await run([...files], Math.min(concurrency, files.length));
  process.off('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, stop);
  killAll();

  const total = (name) => results.reduce((sum, result) => sum + result[name], 0);
  const failed = results.filter((result) => result.failed.length > 0);
  for (const { file, failed: reasons } of failed)
    write(`✖ ${file}\n${reasons.map((text) => `    ${text}\n`).join('')}`);
  write(
    `${results.length} files, ${total('pass')} tests passed, ${total('fail')} failed, ${total('skip')} skipped ` +
      `in ${((performance.now() - began) / 1000).toFixed(1)} s\n`,
  );
  return failed.length > 0 ? 1 : 0;
}
