// `npm test [-- PATH ... [--name PATTERN] [--limit SECONDS]]`: runs the TypeScript tests against the sources (condition
// @vernier/source), never against a build. Without a PATH: everything but test/faults, whose real file systems, hanging
// disks and strace take minutes; `npm run test:faults` and CI run it. A file that takes longer than its limit is ended
// and fails.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, root } from './ensure.mjs';
import { runTestFiles } from './test-files.mjs';

/** Six times what the slowest file of a package takes on two idle cores. */
const LIMIT_SECONDS = 300;
/** Kills, power cuts and real faults: minutes each, and more when VERNIER_CRASH_ROUNDS asks for more. */
const SLOW_LIMIT_SECONDS = 900 + 60 * Number(process.env.VERNIER_CRASH_ROUNDS ?? 0);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string' }, concurrency: { type: 'string' }, limit: { type: 'string' } },
});

function* testFiles(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) {
    if (path.endsWith('.test.ts')) yield path;
    return;
  }
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist') continue;
    const child = join(path, entry.name);
    if (entry.isDirectory()) yield* testFiles(child);
    else if (entry.name.endsWith('.test.ts')) yield child;
  }
}

ensureInstalled();
const wanted =
  positionals.length > 0
    ? positionals.map((path) => resolve(path))
    : ['packages', 'test', 'examples'].map((folder) => join(root, folder));
const byNameOnly = join(root, 'test', 'faults') + sep;
const files = wanted
  .flatMap((path) => [...testFiles(path)])
  .filter((file) => positionals.length > 0 || !file.startsWith(byNameOnly))
  .sort();
if (files.length === 0) {
  process.stderr.write(`no *.test.ts under ${positionals.join(', ')}\n`);
  process.exit(2);
}
// These run the built command as a user does (npm start, the binary); the others need no build.
const needBuild = [join(root, 'packages', 'vernier'), join(root, 'test'), join(root, 'examples')];
if (files.some((file) => needBuild.some((folder) => file.startsWith(folder + sep)))) ensureBuilt();
const slow = ['crash', 'faults'].map((folder) => join('test', folder) + sep);
process.exitCode = await runTestFiles(
  files.map((file) => relative(root, file)),
  {
    concurrency: Number(values.concurrency ?? 3),
    limitMs: (file) =>
      1000 *
      Number(values.limit ?? (slow.some((folder) => file.startsWith(folder)) ? SLOW_LIMIT_SECONDS : LIMIT_SECONDS)),
    nodeArgs: [
      ...['--import', 'tsx', '--import', new URL('assert-ok.mjs', import.meta.url).href],
      ...['--conditions=@vernier/source', '--enable-source-maps'],
      ...(values.name ? [`--test-name-pattern=${values.name}`] : []),
    ],
    cwd: root,
  },
);
