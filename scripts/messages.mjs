// The protobuf messages of packages/proxy, made from the .proto files that the npm package rocketmq-client-nodejs ships:
// packages/proxy/generated/messages.js and its types. Nothing of it is in git. Runs when they are missing, or made by
// another version of their makers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const folder = join(root, 'packages', 'proxy', 'generated');
const target = join(folder, 'messages.js');

const pbjsArgs = [
  ...['--target', 'static-module', '--wrap', 'esm', '--null-semantics', '--no-beautify'],
  ...['--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-typeurl', '--no-service'],
  ...['--path', join(modules, 'rocketmq-client-nodejs', 'proto')],
];

const versionOf = (name) => JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version;

/** Makes what is missing or stale; does nothing otherwise. */
export function ensureMessages() {
  if (!existsSync(join(root, 'packages', 'proxy', 'package.json'))) return;
  const makers = ['rocketmq-client-nodejs', 'protobufjs', 'protobufjs-cli'].map((name) => `${name} ${versionOf(name)}`);
  const head = `// Made by scripts/messages.mjs from the .proto files of Apache RocketMQ: ${makers.join(', ')}\n`;
  if (existsSync(target) && readFileSync(target, 'utf8').startsWith(head)) return;
  process.stderr.write('making the protobuf messages (pbjs) ...\n');
  mkdirSync(folder, { recursive: true });
  // Several processes may do it at once: each makes its own, and the last name wins whole.
  const made = join(folder, `messages.${process.pid}.js`);
  // The types come from the comments, which the module itself does without.
  pbjs('--dts', '--out', made);
  pbjs('--no-comments', '--out', made);
  writeFileSync(made, head + readFileSync(made, 'utf8'));
  renameSync(made.replace(/\.js$/, '.d.ts'), target.replace(/\.js$/, '.d.ts'));
  renameSync(made, target);
}

function pbjs(...args) {
  const bin = join(modules, 'protobufjs-cli', 'bin', 'pbjs');
  const result = spawnSync(process.execPath, [bin, ...pbjsArgs, ...args, 'apache/rocketmq/v2/service.proto'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    timeout: 120_000,
  });
  if (result.status !== 0) throw new Error(`pbjs failed with ${result.status ?? result.error ?? result.signal}`);
}
