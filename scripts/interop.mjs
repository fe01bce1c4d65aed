// `npm run interop [-- --only NAME] [--broker apache|vernier]`: the suites of interop/*.test.ts, in which other people's
// clients, tools and stores meet Vernier. --only keeps the files whose name contains NAME; --broker apache runs the same
// suites against Apache RocketMQ, which proves the suites and not Vernier. What is missing on this machine (Java, Maven,
// Go) skips its suites with a reason, and fails them when CI is set. Most suites wait for a JVM or for a time to pass, so
// two run side by side; those that use the machine up, or compare how fast something was, run before them and alone.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, root } from './ensure.mjs';
import { runTestFiles } from './test-files.mjs';

const folder = join(root, 'interop');
/** Of one file: the longest take three minutes on two idle cores. */
const LIMIT_MS = 15 * 60_000;
const SIDE_BY_SIDE = 2;
/** Those that start many clients at once, compare two brokers by their speed, or use the machine's whole page cache. */
const ALONE = ['apache-msync-fault', 'client-programs', 'conformance', 'rebalance'].map((name) => `${name}.test.ts`);

function usage(message) {
  process.stderr.write(`${message}\nusage: npm run interop -- [--only NAME] [--broker apache|vernier]\n`);
  process.exit(2);
}

let values;
try {
  ({ values } = parseArgs({ options: { only: { type: 'string' }, broker: { type: 'string', default: 'vernier' } } }));
} catch (error) {
  usage(error.message);
}
if (values.broker !== 'apache' && values.broker !== 'vernier') usage(`unknown broker '${values.broker}'`);
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts') && name.includes(values.only ?? ''))
  .sort();
if (files.length === 0) usage(`no suite in interop/ has '${values.only}' in its name`);

/** The npm clients under test have a lockfile of their own, so that `npm ci` of the project does not install them. */
function ensurePeersInstalled() {
  const installed = join(folder, 'node_modules', '.package-lock.json');
  const lockfile = join(folder, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs) return;
  process.stderr.write('installing the npm clients under test (npm ci in interop/) ...\n');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
    timeout: 5 * 60_000,
  });
  if (result.status !== 0) {
    process.stderr.write(`npm ci in interop/ failed with ${result.status ?? result.error ?? result.signal}\n`);
    process.exit(1);
  }
}

/** What several suites download or compile, before two of them would do it at once. */
function ensurePeersBuilt() {
  const result = spawnSync(process.execPath, [...nodeArgs, join(folder, 'peers', 'prepare.ts')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    timeout: LIMIT_MS,
  });
  if (result.status !== 0) {
    process.stderr.write(`interop/peers/prepare.ts ended with ${result.status ?? result.error ?? result.signal}\n`);
    process.exit(1);
  }
}

const nodeArgs = ['--import', 'tsx', '--conditions=@vernier/source', '--enable-source-maps'];
ensureInstalled();
ensureBuilt();
ensurePeersInstalled();
if (files.length > 1) ensurePeersBuilt();
process.stderr.write(`${files.length} suites against ${values.broker}: ${files.join(', ')}\n`);
const paths = (names) => names.map((name) => join('interop', name));
process.exitCode = await runTestFiles(paths(files.filter((name) => !ALONE.includes(name))), {
  alone: paths(files.filter((name) => ALONE.includes(name))),
  concurrency: SIDE_BY_SIDE,
  limitMs: () => LIMIT_MS,
  nodeArgs,
  cwd: root,
  env: { INTEROP_BROKER: values.broker },
});
