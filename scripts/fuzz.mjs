// `npm run fuzz [-- --rounds N] [--minutes N] [--seed N] [--target NAME] [--from N] [--json]`: seeded inputs for everything that reads
// what others wrote (test/fuzz/targets). Each target runs in a process of its own, two at a time, with a bounded heap; a
// crash, a hang and a broken rule all end the run with the find, its seed and the command that repeats it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureInstalled, root } from './ensure.mjs';

/** Relative numbers of inputs; what touches a disk costs a hundred times what a frame does. */
const SHARES = {
  frames: 33,
  headers: 25,
  answers: 5,
  requests: 20,
  streams: 10,
  tls: 2,
  'inside-tls': 2,
  settings: 4,
  metadata: 2,
  pop: 3,
  access: 5,
  timers: 2,
  grpc: 8,
  selectors: 10,
  store: 1,
};
const PROCESSES = 2;
/** No line from the process for this long: it hangs. Each input has shorter limits of its own. */
const SILENCE_MS = 90_000;
const HEAP_MIB = 512;
/** Inputs of one process; a later one goes on, so that a long run does not hide what a fresh process would do. */
const CHUNK = 20_000;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20000' },
    seed: { type: 'string' },
    target: { type: 'string' },
    from: { type: 'string', default: '0' },
    minutes: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function usage(problem) {
  const stream = problem ? process.stderr : process.stdout;
  if (problem) stream.write(`${problem}\n`);
  stream.write(
    'npm run fuzz [-- --rounds N --minutes N --seed N --target NAME --from N --json]\n' +
      `  targets: ${Object.keys(SHARES).join(' ')}; without one the rounds are spread over all of them\n`,
  );
  process.exit(problem ? 2 : 0);
}

function whole(name, least) {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least) usage(`--${name} ${values[name]}: expected a whole number`);
  return value;
}

if (values.help) usage();
if (values.target !== undefined && !(values.target in SHARES)) usage(`there is no target ${values.target}`);
const rounds = whole('rounds', 1);
const from = whole('from', 0);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : whole('seed', 0);
const startedAt = performance.now();
const running = new Set();
const results = new Map();
let failed = false;
/** By a signal or because the time is over; what was done until then is reported. */
let stopped = false;

ensureInstalled();
const wanted = values.target === undefined ? Object.keys(SHARES) : [values.target];
const shares = wanted.reduce((sum, name) => sum + SHARES[name], 0);
const pieces = wanted.flatMap((target) => {
  const count = Math.max(1, Math.round((rounds * SHARES[target]) / shares));
  results.set(target, { wanted: count, done: 0, seconds: 0, rssMiB: 0 });
  return Array.from({ length: Math.ceil(count / CHUNK) }, (_, index) => ({
    ...{ target, seed, from: from + index * CHUNK, to: from + Math.min(count, (index + 1) * CHUNK) },
  }));
});
// The slow ones first, so that the two processes end at about the same time.
pieces.sort((left, right) => SHARES[left.target] - SHARES[right.target]);
process.stderr.write(`fuzz: seed ${seed}, ${rounds} inputs, ${PROCESSES} processes: ${wanted.join(' ')}\n`);

function replay(job, find) {
  const first = find.sessionFrom ?? job.from;
  const count = (find.round ?? job.to) - first + 1;
  return `npm run fuzz -- --target ${job.target} --seed ${seed} --from ${first} --rounds ${count}`;
}

/** Resolves when the piece is done or a find ended it. */
function run(job) {
  return new Promise((resolve) => {
    const began = performance.now();
    const result = results.get(job.target);
    // A file system in memory where there is one: what is fuzzed is the reading, not the disk.
    const directory = existsSync('/dev/shm') ? '/dev/shm' : undefined;
    const child = spawn(
      process.execPath,
      [
        ...['--import', 'tsx', '--conditions=@vernier/source', '--enable-source-maps'],
        ...[`--max-old-space-size=${HEAP_MIB}`, join('test', 'fuzz', 'run.ts'), JSON.stringify({ ...job, directory })],
      ],
      { cwd: root, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    running.add(child);
    let errors = '';
    let rest = '';
    let last = { done: 0 };
    let find;
    let hung = false;
    let timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        hung = true;
        child.kill('SIGKILL');
      }, SILENCE_MS);
    };
    alive();
    child.stderr.on('data', (text) => {
      errors = (errors + text).slice(-4_000);
    });
    child.stdout.setEncoding('utf8').on('data', (text) => {
      alive();
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const said = JSON.parse(line);
        if (said.find !== undefined) find = said;
        else last = said;
        result.rssMiB = Math.max(result.rssMiB, Math.round((said.rss ?? 0) / 1048576));
      }
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      result.done += last.done;
      result.seconds += (performance.now() - began) / 1000;
      if (last.end === true && code === 0) return resolve();
      if (failed || stopped) return resolve();
      failed = true;
      find ??= {
        find: hung
          ? `no sign of life for ${SILENCE_MS / 1000} s`
          : `the process ended with ${code ?? signal}\n${errors}`,
        round: job.from + last.done + CHUNK,
      };
      find.round = Math.min(find.round, job.to - 1);
      process.stderr.write(
        `\nfuzz: FOUND by ${job.target} in round ${find.round}, seed ${seed}\n${find.find}\nrepeat: ${replay(job, find)}\n`,
      );
      for (const other of running) other.kill('SIGKILL');
      resolve();
    });
  });
}

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
function stop() {
  stopped = true;
  for (const child of running) child.kill('SIGKILL');
}
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = true;
    stop();
  });
}
const timeIsOver = values.minutes === undefined ? undefined : setTimeout(stop, whole('minutes', 1) * 60_000);

async function worker() {
  for (;;) {
    const piece = failed || stopped ? undefined : pieces.shift();
    if (piece === undefined) return;
    await run(piece);
  }
}
await Promise.all(Array.from({ length: PROCESSES }, worker));
clearTimeout(timeIsOver);

const seconds = (performance.now() - startedAt) / 1000;
const total = [...results.values()].reduce((sum, { done }) => sum + done, 0);
if (values.json) {
  process.stdout.write(
    `${JSON.stringify({ seed, found: failed, inputs: total, seconds: Math.round(seconds), targets: Object.fromEntries(results) })}\n`,
  );
} else {
  for (const [name, { done, seconds: took, rssMiB }] of results) {
    process.stdout.write(
      `${name.padEnd(9)} ${String(done).padStart(9)} inputs ${took.toFixed(0).padStart(5)} s, at most ${rssMiB} MiB\n`,
    );
  }
  process.stdout.write(`${total} inputs in ${seconds.toFixed(0)} s, seed ${seed}: ${failed ? 'a find' : 'no find'}\n`);
}
process.exit(failed ? 1 : interrupted ? 130 : 0);
