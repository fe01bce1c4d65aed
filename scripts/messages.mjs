// The protobuf messages of packages/proxy, made from the .proto files that npm packages ship: those of RocketMQ
// (rocketmq-client-nodejs) in packages/proxy/generated/messages.js, those of gRPC's own services of health and reflection
// (grpc-health-check, @grpc/reflection) in services.js, and in descriptors.js what reflection tells of all of them. Nothing of
// it is in git. Runs when they are missing, or made by another version of their makers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { descriptorsOf } from './descriptors.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const folder = join(root, 'packages', 'proxy', 'generated');

/** Folders of .proto files, each with the names that it is asked for. */
const sources = {
  rocketmq: join(modules, 'rocketmq-client-nodejs', 'proto'),
  health: join(modules, 'grpc-health-check', 'proto'),
  reflection: join(modules, '@grpc', 'reflection', 'build', 'proto'),
};
const rocketmqFile = 'apache/rocketmq/v2/service.proto';
const serviceFiles = ['health/v1/health.proto', 'grpc/reflection/v1/reflection.proto'];

const pbjsArgs = [
  ...['--target', 'static-module', '--wrap', 'esm', '--null-semantics', '--no-beautify'],
  ...['--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-typeurl', '--no-service'],
  ...Object.values(sources).flatMap((source) => ['--path', source]),
];

const makerNames = ['rocketmq-client-nodejs', 'grpc-health-check', '@grpc/reflection', 'protobufjs', 'protobufjs-cli'];

const versionOf = (name) => JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version;

/** Makes what is missing or stale; does nothing otherwise. */
export function ensureMessages() {
  if (!existsSync(join(root, 'packages', 'proxy', 'package.json'))) return;
  const makers = makerNames.map((name) => `${name} ${versionOf(name)}`);
  const head = `// Made by scripts/messages.mjs: ${makers.join(', ')}\n`;
  // The last one that is made.
  const last = join(folder, 'messages.js');
  if (existsSync(last) && readFileSync(last, 'utf8').startsWith(head)) return;
  process.stderr.write('making the protobuf messages (pbjs) ...\n');
  mkdirSync(folder, { recursive: true });
  makeDescriptors(head);
  makeMessages('services', serviceFiles, head);
  makeMessages('messages', [rocketmqFile], head);
}

/** Several processes may do it at once: each makes its own, and the last name wins whole. */
function writeWhole(name, text) {
  const made = join(folder, `${name}.${process.pid}.tmp`);
  writeFileSync(made, text);
  renameSync(made, join(folder, name));
}

function makeMessages(name, files, head) {
  const made = join(folder, `${name}.${process.pid}.js`);
  // The types come from the comments, which the module itself does without.
  pbjs('--dts', '--out', made, ...files);
  pbjs('--no-comments', '--out', made, ...files);
  const text = readFileSync(made, 'utf8');
  rmSync(made);
  renameSync(made.replace(/\.js$/, '.d.ts'), join(folder, `${name}.d.ts`));
  writeWhole(`${name}.js`, head + text);
}

function makeDescriptors(head) {
  const names = [rocketmqFile, ...serviceFiles, 'grpc/reflection/v1alpha/reflection.proto'];
  const pathOf = (name) =>
    Object.values(sources)
      .map((source) => join(source, name))
      .find((path) => existsSync(path));
  const descriptors = descriptorsOf(names, pathOf);
  const types =
    'export const files: readonly {\n' +
    '  readonly name: string;\n' +
    '  readonly symbols: readonly string[];\n' +
    '  readonly dependencies: readonly string[];\n' +
    '  readonly bytes: string;\n' +
    '}[];\n';
  writeWhole('descriptors.d.ts', types);
  writeWhole('descriptors.js', `${head}export const files = ${JSON.stringify(descriptors)};\n`);
}

function pbjs(...args) {
  const bin = join(modules, 'protobufjs-cli', 'bin', 'pbjs');
  const result = spawnSync(process.execPath, [bin, ...pbjsArgs, ...args], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    timeout: 120_000,
  });
  if (result.status !== 0) throw new Error(`pbjs failed with ${result.status ?? result.error ?? result.signal}`);
}
