// `npm run bench -- [flags]`: see `--help` below. Measures and writes docs/benchmarks.md and docs/benchmarks.json.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { javaMissing, repositoryRoot } from '../interop/peers/java.ts';
import { type Engine, engines, type FlushMode } from './brokers.ts';
import { runGrpc } from './grpc.ts';
import { busyShare, describeHardware, javaVersion } from './machine.ts';
import { runProfile } from './profile.ts';
import { budgets, renderReport } from './report.ts';
import { type BenchResults, median, type Run } from './results.ts';
import {
  BODY_SIZE,
  brokerKinds,
  runEngines,
  runSideBySide,
  type SideBySideOptions,
  sendWorkloads,
} from './side-by-side.ts';
import { measureIdle, measureMemory, measureRestart, measureStartup } from './vernier-alone.ts';
import { measureDelivery, measureWaiting } from './waiting.ts';

const help = `npm run bench -- [flags]
  --rounds N         rounds of each comparison (4)
  --seconds N        of each measured window (6)
  --quick            one round of 3 s windows, 1,000,000 messages instead of ten million
  --only PARTS       comma list of: ${[...Object.keys(sendWorkloads).map((name) => name.replaceAll(' ', '').replace('×', 'x')), 'pull', 'go', 'java-client', 'kinds', 'grpc', 'engines', 'startup', 'idle', 'waiting', 'delivery', 'memory', 'restart'].join(', ')}
  --brokers LIST     some of apache, before, vernier (apache,vernier)
  --before DIR       the checkout that is \`before\`, built; then nothing is written
  --flush LIST       SYNC_FLUSH, ASYNC_FLUSH or both (SYNC_FLUSH,ASYNC_FLUSH)
  --no-write         print only; the pages in docs stay as they are
  --profile          no comparison: Vernier under --cpu-prof, what it does and the functions with the most self time;
                     with --before DIR that checkout
      --workload W --engine E --flush F --seconds N --top N --body BYTES
                         (16x16, channel, SYNC_FLUSH, 10, 40, 1024; W may be pull)
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    brokers: { type: 'string', default: 'apache,vernier' },
    before: { type: 'string' },
    flush: { type: 'string' },
    'no-write': { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    workload: { type: 'string', default: '16x16' },
    engine: { type: 'string', default: 'channel' },
    top: { type: 'string', default: '40' },
    body: { type: 'string' },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);

function refuse(message: string): never {
  process.stderr.write(`${message}\n\n${help}`);
  process.exit(2);
}

/** `16x16` as typed to `16 × 16` as printed; other names stay. */
const partName = (typed: string) => typed.trim().replace(/^(\d+)x(\d+)$/, '$1 × $2');

function choose<T extends string>(flag: string, typed: string, known: readonly T[]): T[] {
  return typed.split(',').map((one) => {
    const name = partName(one) as T;
    return known.includes(name) ? name : refuse(`${flag}: '${one}' is none of ${known.join(', ')}`);
  });
}

function wholeNumber(flag: string, typed: string | undefined, otherwise: number): number {
  if (typed === undefined) return otherwise;
  const value = Number(typed);
  return Number.isInteger(value) && value > 0 ? value : refuse(`${flag}: '${typed}' is no whole number above 0`);
}

const sideBySideParts = [...Object.keys(sendWorkloads), 'pull', 'go', 'java-client', 'kinds'];
const aloneParts = ['grpc', 'engines', 'startup', 'idle', 'waiting', 'delivery', 'memory', 'restart'];
const allParts = [...sideBySideParts, ...aloneParts];
const flushModes: readonly FlushMode[] = ['SYNC_FLUSH', 'ASYNC_FLUSH'];

async function bench(): Promise<void> {
  const parts = new Set(values.only === undefined ? allParts : choose('--only', values.only, allParts));
  const brokers = choose('--brokers', values.brokers, brokerKinds);
  if (brokers.includes('before') !== (values.before !== undefined)) {
    refuse('--before DIR and --brokers with `before` go together');
  }
  const needsJava = parts.has('java-client') || brokers.includes('apache');
  const missing = [...sideBySideParts, 'grpc'].some((part) => parts.has(part)) && needsJava ? javaMissing() : undefined;
  if (missing) refuse(`${missing}; --brokers vernier measures without it (and without java-client)`);
  const options: SideBySideOptions = {
    rounds: wholeNumber('--rounds', values.rounds, values.quick ? 1 : 4),
    seconds: wholeNumber('--seconds', values.seconds, values.quick ? 3 : 6),
    flushModes: choose('--flush', values.flush ?? flushModes.join(','), flushModes),
    brokers,
    ...(values.before !== undefined && { before: values.before }),
    parts,
    say,
  };
  const results: BenchResults = {
    date: new Date().toISOString().slice(0, 16).replace('T', ' ').concat(' UTC'),
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    rounds: options.rounds,
    seconds: options.seconds,
    hardware: describeHardware(),
    versions: versions(),
    disk: [],
    busy: [await busyShare(1000)],
    load: [],
    engines: [],
    javaClient: [],
    kinds: [],
  };
  if (parts.has('startup')) await measureStartup(results, 10, say);
  if (parts.has('idle')) await measureIdle(results, 20, say);
  if (parts.has('waiting')) await measureWaiting(results, say);
  if (parts.has('delivery')) await measureDelivery(results, say);
  if (sideBySideParts.some((part) => parts.has(part))) await runSideBySide(options, results);
  if (parts.has('grpc')) await runGrpc(options, results);
  if (parts.has('engines')) await runEngines(options, results);
  if (parts.has('restart')) await measureRestart(results, 2_000_000_000, say);
  if (parts.has('memory')) await measureMemory(results, values.quick ? 1_000_000 : 10_000_000, say);

  if (options.before !== undefined) {
    // Rows of the pages name Apache and Vernier alone; a comparison with an earlier state is for its commit message.
    for (const { flushDiskType, workload, broker, runs } of [...results.load, ...results.kinds]) {
      const medianOf = (pick: (run: Run) => number) => median(runs.map(pick));
      const rate = Math.round(medianOf((run) => run.perSecond)).toLocaleString('en');
      const cpuUs = medianOf((run) => run.brokerCpuUsPerMessage).toFixed(1);
      say(`${flushDiskType}, ${workload}, ${broker}: ${rate}/s, ${cpuUs} µs CPU (medians of ${runs.length})`);
    }
    return;
  }
  for (const { name, measured, met } of budgets(results)) {
    say(`${met === undefined ? '  –   ' : met ? 'met   ' : 'MISSED'}  ${name}: ${measured}`);
  }
  if (values['no-write']) return;
  writeFileSync(join(repositoryRoot, 'docs', 'benchmarks.json'), `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(join(repositoryRoot, 'docs', 'benchmarks.md'), renderReport(results));
  say('written: docs/benchmarks.md, docs/benchmarks.json');
}

function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string };
  let commit = '';
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: repositoryRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    // A source archive has no history; the version alone names it then.
  }
  return {
    Vernier: commit === '' ? version : `${version} (${commit})`,
    'Apache RocketMQ': '5.5.0',
    'Node.js': process.version,
    Java: javaVersion(),
  };
}

if (values.help) {
  process.stdout.write(help);
} else if (values.profile) {
  const [flushDiskType] = choose('--flush', values.flush ?? 'SYNC_FLUSH', flushModes);
  const [engine] = choose('--engine', values.engine, Object.keys(engines) as Engine[]);
  const [workload] = choose('--workload', values.workload, [...Object.keys(sendWorkloads), 'pull']);
  await runProfile({
    flushDiskType: flushDiskType!,
    engine: engine!,
    workload: workload!,
    seconds: wholeNumber('--seconds', values.seconds, 10),
    top: wholeNumber('--top', values.top, 40),
    bodySize: wholeNumber('--body', values.body, BODY_SIZE),
    checkout: values.before,
    say,
  });
} else {
  await bench();
}
