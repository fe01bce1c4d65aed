// `npm run mutations [-- --find [--seeds N]] [-- --only TEXT …]`: is the torture run worth its name? Each deliberate breakage of
// scripts/mutations.list.mjs is applied to a copy of the store's sources, and the history of its seed must break a
// promise. Fails when one survives, or when its text is not in the sources any more. --find looks for the first seed that
// catches each, and writes it into the list.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureInstalled, root } from './ensure.mjs';
import { mutations } from './mutations.list.mjs';

const PROCESSES = 2;
const startedAt = performance.now();
const CRASHES_PER_SEED = 5;
/** Seeds that --find tries without --seeds. */
const SEEDS_TRIED = '1000';
const TIME_MS_MAX = 300_000;
/** For --find: a history takes far less, on a busy machine too. */
const HISTORY_MS_MAX = 300;

const { values } = parseArgs({
  options: {
    find: { type: 'boolean', default: false },
    seeds: { type: 'string', default: SEEDS_TRIED },
    only: { type: 'string', multiple: true },
  },
});
const seedsTried = Number(values.seeds);
const timeMsMax = values.find ? Math.max(TIME_MS_MAX, seedsTried * HISTORY_MS_MAX) : TIME_MS_MAX;
ensureInstalled();
const sources = join(root, 'packages', 'store', 'src');
// Inside the repository, so that the copies find node_modules.
const folder = join(root, '.cache', 'mutations');
rmSync(folder, { recursive: true, force: true });

const RUNNER = `import { torture } from './src/testing/torture/torture.ts';
const [rounds, ...seeds] = process.argv.slice(2).map(Number);
let answer = { crashes: 0 };
for (const seed of seeds) {
  const { failure, counters } = await torture({ seed, rounds });
  answer = { seed: failure?.seed, message: failure?.message, crashes: answer.crashes + counters.crashes };
  if (failure) break;
}
process.stdout.write(JSON.stringify(answer));
`;

/** A copy of the sources, broken as \`mutation\` says; undefined for the unbroken one. The error text when it does not fit. */
function prepare(name, mutation) {
  const copy = join(folder, name);
  mkdirSync(copy, { recursive: true });
  cpSync(sources, join(copy, 'src'), { recursive: true });
  writeFileSync(join(copy, 'run.ts'), RUNNER);
  if (mutation === undefined) return undefined;
  const file = join(copy, 'src', mutation.file);
  const text = readFileSync(file, 'utf8');
  const found = text.split(mutation.from).length - 1;
  if (found !== 1) return `its text stands ${found} times in ${mutation.file}`;
  writeFileSync(
    file,
    text.replace(mutation.from, () => mutation.to),
  );
  return undefined;
}

function run(name, rounds, ...seeds) {
  return new Promise((resolve) => {
    const args = ['--import', 'tsx', join(folder, name, 'run.ts'), String(rounds), ...seeds.map(String)];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    let late = false;
    const watch = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeMsMax);
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('close', (code) => {
      clearTimeout(watch);
      if (late && values.find) resolve({ error: `not caught within ${timeMsMax / 1000} s` });
      // A breakage that makes the process hang is noticed too, as scripts/torture.mjs would.
      else if (late) resolve({ seed: seeds[0], message: `no end after ${timeMsMax / 1000} s` });
      else if (code !== 0) resolve({ error: err.trim().split('\n').slice(0, 6).join('\n') });
      else resolve(JSON.parse(out));
    });
  });
}

let failed = 0;
let tried = 0;
/** Name of each that was caught → seed. */
const caught = new Map();

async function check(mutation, index) {
  const name = `m${index}`;
  const problem = prepare(name, mutation);
  const seed = values.find ? 1 : mutation.seed;
  const rounds = (values.find ? seedsTried : 1) * CRASHES_PER_SEED;
  const result = problem === undefined ? await run(name, rounds, seed) : { error: problem };
  rmSync(join(folder, name), { recursive: true, force: true });
  tried++;
  if (result.seed !== undefined) {
    caught.set(mutation.name, result.seed);
    process.stdout.write(
      `caught    ${mutation.name}\n          seed ${result.seed}: ${result.message.slice(0, 160)}\n`,
    );
    return;
  }
  failed++;
  const what =
    result.error === undefined
      ? `SURVIVED  ${mutation.name}: ${result.crashes} crashes`
      : `FAILED    ${mutation.name}: ${result.error}`;
  process.stdout.write(`${what}\n`);
}

const named = mutations.filter(({ name }) => !values.only || values.only.some((text) => name.includes(text)));
const wanted = named.filter(({ seed }) => values.find || seed !== undefined);
const seeds = [...new Set(wanted.map(({ seed }) => seed))];
if (!values.find) {
  // The unbroken store must pass the same histories, or catching proves nothing.
  prepare('unbroken', undefined);
  const result = await run('unbroken', CRASHES_PER_SEED, ...seeds);
  if (result.seed !== undefined || result.error !== undefined) {
    failed++;
    process.stdout.write(`FAILED    the unbroken store, seed ${result.seed}: ${result.message ?? result.error}\n`);
  } else process.stdout.write(`sound     the unbroken store: ${seeds.length} seeds, ${result.crashes} crashes\n`);
}
const queue = [...wanted.entries()];
await Promise.all(
  Array.from({ length: PROCESSES }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await check(next[1], next[0]);
  }),
);
rmSync(folder, { recursive: true, force: true });
if (values.find) {
  const path = join(root, 'scripts', 'mutations.list.mjs');
  let text = readFileSync(path, 'utf8');
  for (const [name, seed] of caught) {
    const at = text.indexOf(`name: '${name}'`);
    text = text.slice(0, at) + text.slice(at).replace(/seed: (\d+|undefined)/, `seed: ${seed}`);
  }
  writeFileSync(path, text);
}
const seconds = Math.round((performance.now() - startedAt) / 1_000);
process.stdout.write(`${caught.size} of ${tried} breakages are caught, in ${seconds} s\n`);
process.exit(failed === 0 && tried > 0 ? 0 : 1);
