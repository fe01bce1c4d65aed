// Brings a fresh clone to a runnable state: `npm ci` when node_modules is older than the lockfile, `tsc -b` when a
// dist is older than its sources. Dependency-free, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureMessages } from './messages.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The command as users have it, relative to the root; made by scripts/bundle.mjs. */
export const commandFile = join('packages', 'vernier', 'bundle', 'bin.js');

const mtime = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);

function run(command, args, what) {
  // Output goes to stderr: stdout belongs to the command the user typed (`npm start -- topic list --json | jq`).
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    process.stderr.write(`${what} failed with exit code ${result.status ?? result.signal}\n`);
    process.exit(result.status ?? 1);
  }
}

/** Installs dependencies when the lockfile is newer than what is installed, and makes the sources that are generated. */
export function ensureInstalled() {
  installDependencies();
  ensureMessages();
}

/** npm writes the marker file at its end. */
function installDependencies() {
  const installed = mtime(join(root, 'node_modules', '.package-lock.json'));
  const stamp = mtime(join(root, 'node_modules', '.vernier-install'));
  if (Math.max(installed, stamp) >= mtime(join(root, 'package-lock.json')) && installed > 0) return;
  process.stderr.write('installing dependencies (npm ci) ...\n');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci');
}

function newestSource(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestSource(path) : mtime(path));
  }
  return newest;
}

/** The compiler leaves the output of a source that is gone, and it would be packed. */
function removeStaleOutput(dist, src) {
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    const path = join(dist, entry.name);
    if (entry.isDirectory()) {
      if (existsSync(join(src, entry.name))) removeStaleOutput(path, join(src, entry.name));
      else rmSync(path, { recursive: true });
    } else if (/\.(js|d\.ts)(\.map)?$/.test(entry.name)) {
      const source = join(src, entry.name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts'));
      if (!existsSync(source)) rmSync(path);
    }
  }
}

/** Compiles the packages whose sources are newer than their last build. */
export function ensureBuilt() {
  const packages = readdirSync(join(root, 'packages')).filter((name) =>
    existsSync(join(root, 'packages', name, 'src')),
  );
  const stale = packages.some((name) => {
    const folder = join(root, 'packages', name);
    const built = mtime(join(folder, 'dist', '.tsbuildinfo'));
    const sources = ['src', 'generated'].filter((part) => existsSync(join(folder, part)));
    const newest = Math.max(...sources.map((part) => newestSource(join(folder, part))));
    return built === 0 || newest > built || mtime(join(folder, 'tsconfig.json')) > built;
  });
  const bundled = mtime(join(root, commandFile));
  const isBundleStale = packages.some((name) => mtime(join(root, 'packages', name, 'dist', '.tsbuildinfo')) > bundled);
  if (!stale && !isBundleStale && mtime(join(root, 'scripts', 'bundle.mjs')) <= bundled) return;
  process.stderr.write('building (tsc -b) ...\n');
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], 'tsc -b');
  for (const name of packages)
    removeStaleOutput(join(root, 'packages', name, 'dist'), join(root, 'packages', name, 'src'));
  run(process.execPath, [join(root, 'scripts', 'bundle.mjs')], 'the bundle');
  linkCommand();
}

/** Makes `npx vernier` work in a clone: npm links a command at install, when there is no build of it yet. */
function linkCommand() {
  const bin = join(root, commandFile);
  chmodSync(bin, 0o755);
  const link = join(root, 'node_modules', '.bin', 'vernier');
  if (process.platform !== 'win32' && !existsSync(link)) {
    rmSync(link, { force: true });
    symlinkSync(join('..', 'vernier', 'bundle', 'bin.js'), link);
  }
}
