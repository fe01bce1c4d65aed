// `npm test [-- PATH ... [--name PATTERN]]`: runs the TypeScript tests against the sources (condition @vernier/source),
// never against a build. Node 20's --test takes no globs, hence the walk. Without a PATH: everything but test/faults,
// whose real file systems, hanging disks and strace take minutes; `npm run test:faults` and CI run it.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, root } from './ensure.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string' }, concurrency: { type: 'string' } },
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
const slow = join(root, 'test', 'faults') + sep;
const files = wanted
  .flatMap((path) => [...testFiles(path)])
  .filter((file) => positionals.length > 0 || !file.startsWith(slow))
  .sort();
if (files.length === 0) {
  process.stderr.write(`no *.test.ts under ${positionals.join(', ')}\n`);
  process.exit(2);
}
// These run the built command as a user does (npm start, the binary); the others need no build.
const needBuild = [join(root, 'packages', 'vernier'), join(root, 'test'), join(root, 'examples')];
if (files.some((file) => needBuild.some((folder) => file.startsWith(folder + sep)))) ensureBuilt();
const args = [
  '--import',
  'tsx',
  '--conditions=@vernier/source',
  '--enable-source-maps',
  '--test',
  '--test-reporter=spec',
];
args.push(`--test-concurrency=${values.concurrency ?? 2}`);
if (values.name) args.push(`--test-name-pattern=${values.name}`);
args.push(...files.map((file) => relative(root, file)));
const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
