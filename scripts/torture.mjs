// `npm run torture -- [--seed N] [--rounds N] [--minutes N] [--engine E] [--broker] [--transactions] [--timers]
// [--pop] [--queue-kinds] [--processes N] [--json]`: `vernier torture` in two processes, each with its own seeds, watched from outside: a history that hangs the
// process is a violation too.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { commandFile, ensureBuilt, ensureInstalled, root } from './ensure.mjs';

const CRASHES_PER_SEED = 5;
/** No history takes longer; the slowest ones of an idle machine take two seconds. */
const SILENCE_MS_MAX = 180_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    engine: { type: 'string' },
    broker: { type: 'boolean', default: false },
    transactions: { type: 'boolean', default: false },
    timers: { type: 'boolean', default: false },
    pop: { type: 'boolean', default: false },
    'queue-kinds': { type: 'boolean', default: false },
    processes: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const processes = Number(values.processes);
// With a time alone there is no end but the time.
const rounds = Number(values.rounds ?? (values.minutes === undefined ? 2_000 : 1_000_000_000));
if (![seed, rounds, processes].every(Number.isSafeInteger) || rounds < 1 || processes < 1 || seed < 0) {
  process.stderr.write('--seed, --rounds and --processes are whole numbers\n');
  process.exit(2);
}
ensureInstalled();
ensureBuilt();
const { replayCommand } = await import(pathToFileURL(join(root, 'packages', 'torture', 'dist', 'index.js')).href);

const histories = Math.ceil(rounds / CRASHES_PER_SEED);
const startedAt = performance.now();
const children = new Set();

function worker(index) {
  const from = seed + Math.floor((histories * index) / processes);
  const to = seed + Math.floor((histories * (index + 1)) / processes);
  if (to === from) return Promise.resolve({ code: 0, answer: undefined });
  const crashes = Math.min((to - from) * CRASHES_PER_SEED, rounds - (from - seed) * CRASHES_PER_SEED);
  const flags = ['torture', '--json', '--seed', String(from), '--rounds', String(crashes)];
  for (const name of ['minutes', 'engine']) if (values[name] !== undefined) flags.push(`--${name}`, values[name]);
  for (const name of ['broker', 'transactions', 'timers', 'pop', 'queue-kinds'])
    if (values[name]) flags.push(`--${name}`);
  const child = fork(join(root, commandFile), flags, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  children.add(child);
  return new Promise((resolve) => {
    let text = '';
    let last = from - 1;
    let hung = false;
    let watch;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => {
        hung = true;
        child.kill('SIGKILL');
      }, SILENCE_MS_MAX);
    };
    alive();
    child.on('message', (message) => {
      last = message.seed;
      alive();
    });
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    child.on('close', (code) => {
      clearTimeout(watch);
      children.delete(child);
      if (hung) {
        const replay = replayCommand(last + 1, values);
        const violation = { seed: last + 1, message: `no end after ${SILENCE_MS_MAX / 1000} s`, steps: [], replay };
        resolve({ code: 1, answer: { histories: 0, counters: {}, violation } });
      } else resolve({ code: code ?? 1, answer: text === '' ? undefined : JSON.parse(text) });
      // The first violation ends the others: one is enough to look into.
      if (hung || code === 1) for (const other of children) other.kill('SIGTERM');
    });
  });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const child of children) child.kill(signal);
  });
}
const results = await Promise.all(Array.from({ length: processes }, (_, index) => worker(index)));
const total = { seed, processes, histories: 0, seconds: 0, counters: {}, violations: [] };
for (const { answer } of results) {
  if (answer === undefined) continue;
  total.histories += answer.histories;
  for (const [name, count] of Object.entries(answer.counters)) {
    total.counters[name] = (total.counters[name] ?? 0) + count;
  }
  if (answer.violation) total.violations.push(answer.violation);
}
total.seconds = Math.round((performance.now() - startedAt) / 1_000);
const code = Math.max(...results.map((result) => result.code));
if (values.json) process.stdout.write(`${JSON.stringify(total, undefined, 2)}\n`);
else {
  for (const violation of total.violations) {
    process.stdout.write(`violation in seed ${violation.seed}: ${violation.message}\n\n`);
    for (const step of violation.steps) process.stdout.write(`  ${step}\n`);
    process.stdout.write(`\nreplay: ${violation.replay}\n`);
  }
  const { crashes = 0 } = total.counters;
  for (const [name, count] of Object.entries(total.counters)) process.stdout.write(`${name.padEnd(20)}${count}\n`);
  const verdict = code === 0 ? 'no promise was broken' : 'FAILED';
  process.stdout.write(`${verdict}: ${crashes} crashes in ${total.seconds} s on ${processes} processes\n`);
}
process.exit(code);
