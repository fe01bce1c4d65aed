// `npm run mutations [-- --find [--seeds N]] [-- --only TEXT …] [-- --share K/N]`: are the tests worth their name? Each deliberate breakage
// of scripts/mutations.list.mjs is applied to a copy of the sources, and its test must fail, or the history of its seed
// break a promise. Fails when one survives, or when its text is not in the sources any more. --find looks for the first
// seed that catches each breakage without a test, and writes it into the list. --share 2/3 takes the second third of the list;
// --share x/3 the third that the commit chooses, and beside it all whose source or test the last commits changed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureInstalled, root } from './ensure.mjs';
import { fileOf, misfit } from './mutation-text.mjs';
import { mutations } from './mutations.list.mjs';

const PROCESSES = 2;
const startedAt = performance.now();
const CRASHES_PER_SEED = 5;
/** Seeds that --find tries without --seeds. */
const SEEDS_TRIED = '1000';
const TIME_MS_MAX = 300_000;
/** Of the test that is to fail: some breakages make it wait for ever, which is noticed too. */
const BROKEN_TEST_MS_MAX = 90_000;
/** Of --share x/N: those whose files they touched are all taken. */
const RECENT_COMMITS = 20;
/** For --find: a history takes far less, on a busy machine too. */
const HISTORY_MS_MAX = 300;

const { values } = parseArgs({
  options: {
    find: { type: 'boolean', default: false },
    seeds: { type: 'string', default: SEEDS_TRIED },
    only: { type: 'string', multiple: true },
    share: { type: 'string' },
  },
});
const seedsTried = Number(values.seeds);
const timeMsMax = values.find ? Math.max(TIME_MS_MAX, seedsTried * HISTORY_MS_MAX) : TIME_MS_MAX;
ensureInstalled();
const packages = join(root, 'packages');
// Inside the repository, so that the copies find node_modules.
const folder = join(root, '.cache', 'mutations');
rmSync(folder, { recursive: true, force: true });

const RUNNER = `import { torture } from './torture/src/torture.ts';
const [through, rounds, ...seeds] = process.argv.slice(2);
const BrokerFront = through === 'broker' ? (await import('./torture/src/broker-front.ts')).BrokerFront : undefined;
const front = BrokerFront && (() => new BrokerFront());
let answer = { crashes: 0 };
for (const seed of seeds.map(Number)) {
  const { failure, counters } = await torture({ seed, rounds: Number(rounds), front });
  answer = { seed: failure?.seed, message: failure?.message, crashes: answer.crashes + counters.crashes };
  if (failure) break;
}
process.stdout.write(JSON.stringify(answer));
`;

/** A copy of the sources. */
function copySources(name) {
  const copy = join(folder, name, 'packages');
  // The copied broker has to find the copied store; and what is broken is written to a copy, never through a link.
  const modules = join(copy, 'node_modules', '@vernier');
  mkdirSync(modules, { recursive: true });
  for (const part of ['remoting', 'store', 'broker', 'doctor', 'torture', 'proxy', 'metrics', 'vernier']) {
    for (const what of ['src', 'test', 'package.json'])
      cpSync(join(packages, part, what), join(copy, part, what), { recursive: true });
    symlinkSync(join('..', '..', part), join(modules, part), 'junction');
  }
  cpSync(join(root, 'test', 'support'), join(folder, name, 'test', 'support'), { recursive: true });
  symlinkSync(join(packages, 'proxy', 'generated'), join(copy, 'proxy', 'generated'), 'junction');
  writeFileSync(join(copy, 'run.ts'), RUNNER);
}

/** Breaks a copy as `mutation` says; `mend` takes it back. `problem`: it does not fit, and nothing was changed. */
function breakCopy(name, mutation) {
  const copy = join(folder, name, 'packages');
  const problem = misfit(copy, mutation);
  if (problem !== undefined) return { problem };
  const file = fileOf(copy, mutation);
  const whole = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    whole.replace(mutation.from, () => mutation.to),
  );
  return { mend: () => writeFileSync(file, whole) };
}

/** Resolves with how the process ended; `late` when it had to be ended. */
function start(args, limitMs = timeMsMax) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@vernier/source', ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    let late = false;
    const watch = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limitMs);
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('close', (code) => {
      clearTimeout(watch);
      resolve({ code, out, err, late });
    });
  });
}

/** What broke a promise, `{ crashes }` when nothing did, `{ error }` when it could not be seen. */
async function run(name, through, rounds, ...seeds) {
  const args = [join(folder, name, 'packages', 'run.ts'), through, String(rounds), ...seeds.map(String)];
  const { code, out, err, late } = await start(args);
  const seconds = timeMsMax / 1_000;
  if (late && values.find) return { error: `not caught within ${seconds} s` };
  // A breakage that makes the process hang is noticed too, as scripts/torture.mjs would.
  if (late) return { by: `seed ${seeds[0]}`, message: `no end after ${seconds} s` };
  if (code !== 0) return { error: firstLines(err) };
  const { seed, message, crashes } = JSON.parse(out);
  return seed === undefined ? { crashes } : { seed, by: `seed ${seed}`, message };
}

/** As run(), by the tests of a file whose names begin so: a result for each beginning. */
async function runTests(name, file, beginnings, limitMs = timeMsMax) {
  const patterns = beginnings.flatMap((each) => ['--test-name-pattern', `^${each.replace(/[^\w\s]/g, '.')}`]);
  const args = ['--test-reporter', 'tap', ...patterns, join(folder, name, file)];
  const { out, err, late } = await start(args, limitMs);
  const lines = out.split('\n');
  return beginnings.map((beginning) => {
    const failed = lines.find((line) => /^\s*not ok \d+ - /.test(line) && line.includes(beginning));
    if (failed || late) return { by: file, message: failed?.trim() ?? `no end after ${limitMs / 1_000} s` };
    const passed = lines.some(
      (line) => /^\s*ok \d+ - /.test(line) && line.includes(beginning) && !line.includes('# SKIP'),
    );
    return passed ? { crashes: 0 } : { error: `${file}, ${beginning}: ${firstLines(err || out)}` };
  });
}

async function runTest(name, test) {
  const [result] = await runTests(name, test.file, [test.name], BROKEN_TEST_MS_MAX);
  return result;
}

/** Takes the items one after the other, a few at once; `work` is told by which of the workers. */
async function each(items, work) {
  const queue = [...items];
  const worker = async (_, index) => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next, index);
  };
  await Promise.all(Array.from({ length: PROCESSES }, worker));
}

/** Whether the histories go through a broker's requests. */
function throughOf({ package: part = 'store', through = part }) {
  return through;
}

/** Files that the last commits changed, as far as they are known here; none without git. */
function changedOf(commits) {
  const { status, stdout } = spawnSync('git', ['log', `-${commits}`, '--name-only', '--format='], {
    cwd: root,
    encoding: 'utf8',
  });
  return new Set(status === 0 ? stdout.split('\n').filter(Boolean) : []);
}

/** The part that `--share` names. A breakage is of a share by its name, so that the list may grow. */
function shareOf(list, share) {
  if (share === undefined) return list;
  const [, which, ofText] = /^(x|[1-9]\d?)\/([1-9]\d?)$/.exec(share) ?? [];
  const of = Number(ofText);
  if (which === undefined || (which !== 'x' && Number(which) > of)) {
    process.stderr.write(`--share ${share}: expected K/N with K from 1 to N, or x/N, N at most 99\n`);
    process.exit(2);
  }
  const numberOf = (text) => (createHash('sha256').update(text).digest().readUInt32BE(0) % of) + 1;
  const isChosen = which === 'x';
  const head = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' });
  const part = isChosen ? numberOf(head.status === 0 ? head.stdout.trim() : String(Math.random())) : Number(which);
  const changed = isChosen ? changedOf(RECENT_COMMITS) : new Set();
  const taken = list.filter(
    (each) =>
      numberOf(each.name) === part ||
      changed.has(`packages/${each.package ?? 'store'}/src/${each.file}`) ||
      (each.test !== undefined && changed.has(each.test.file)),
  );
  process.stdout.write(`share     ${part}/${of}: ${taken.length} of ${list.length} breakages\n`);
  return taken;
}

function firstLines(text) {
  return text.trim().split('\n').slice(0, 6).join('\n');
}

let failed = 0;
let tried = 0;
/** Name of each that was caught → seed, undefined where a test did it. */
const caught = new Map();

/** `name`: of the copy, which is whole before and after. */
async function check(mutation, name) {
  const { problem, mend } = breakCopy(name, mutation);
  const seed = values.find ? 1 : mutation.seed;
  const rounds = (values.find ? seedsTried : 1) * CRASHES_PER_SEED;
  let result = { error: problem };
  if (problem === undefined) {
    const byTest = mutation.test !== undefined;
    result = byTest ? await runTest(name, mutation.test) : await run(name, throughOf(mutation), rounds, seed);
  }
  mend?.();
  tried++;
  if (result.by !== undefined) {
    caught.set(mutation.name, result.seed);
    process.stdout.write(`caught    ${mutation.name}\n          ${result.by}: ${result.message.slice(0, 160)}\n`);
    return;
  }
  failed++;
  const what =
    result.error === undefined
      ? `SURVIVED  ${mutation.name}: ${result.crashes} crashes`
      : `FAILED    ${mutation.name}: ${result.error}`;
  process.stdout.write(`${what}\n`);
}

const named = shareOf(
  mutations.filter(({ name }) => !values.only || values.only.some((text) => name.includes(text))),
  values.share,
);
const tests = named.map(({ test }) => test).filter((test) => test !== undefined);
if (!values.find) {
  // The unbroken store must pass the same histories and tests, or catching proves nothing.
  copySources('unbroken');
  const results = [];
  let seedCount = 0;
  for (const through of ['store', 'broker', 'torture']) {
    const seeds = new Set(named.filter((each) => throughOf(each) === through && !each.isOpen).map(({ seed }) => seed));
    seeds.delete(undefined);
    seedCount += seeds.size;
    if (seeds.size > 0) results.push(await run('unbroken', through, CRASHES_PER_SEED, ...seeds));
  }
  const files = new Map();
  for (const { file, name } of tests) files.set(file, (files.get(file) ?? new Set()).add(name));
  await each(files, async ([file, names]) => {
    results.push(...(await runTests('unbroken', file, [...names])));
  });
  const unsound = results.filter(({ crashes }) => crashes === undefined);
  failed += unsound.length;
  for (const { by, message, error } of unsound)
    process.stdout.write(`FAILED    the unbroken store, ${by}: ${message ?? error}\n`);
  if (unsound.length === 0) {
    const crashes = results.reduce((sum, result) => sum + result.crashes, 0);
    process.stdout.write(
      `sound     the unbroken store: ${seedCount} seeds, ${crashes} crashes, ${tests.length} tests\n`,
    );
  }
}
// Said with each run, so that nobody takes them for caught.
const open = values.find ? [] : named.filter(({ isOpen }) => isOpen);
for (const { name } of open)
  process.stdout.write(`open      ${name}: no test and no history is known that catches it\n`);
const queue = named.filter(({ isOpen, test }) => (values.find ? test === undefined : !isOpen));
for (let index = 0; index < PROCESSES; index++) copySources(`copy${index}`);
await each(queue, (mutation, index) => check(mutation, `copy${index}`));
rmSync(folder, { recursive: true, force: true });
if (values.find) {
  const path = join(root, 'scripts', 'mutations.list.mjs');
  let text = readFileSync(path, 'utf8');
  for (const [name, seed] of caught) {
    if (seed === undefined) continue;
    const at = text.indexOf(`name: '${name}'`);
    const rest = text.slice(at).replace(/seed: \d+(,\n {4}isOpen: true)?/, `seed: ${seed}`);
    text = text.slice(0, at) + rest;
  }
  writeFileSync(path, text);
}
const seconds = Math.round((performance.now() - startedAt) / 1_000);
process.stdout.write(`${caught.size} of ${tried} breakages are caught, ${open.length} are open, in ${seconds} s\n`);
process.exit(failed === 0 && tried > 0 ? 0 : 1);
