import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { type AllInOneOptions, startAllInOne } from '../../src/server/all-in-one.ts';
import { smallFiles, treeHash } from '../cli.ts';
import { command, deadAddress, localBroker } from '../in-process.ts';

async function optionsFor(dataDir: string, set: string[] = [], more: object = {}): Promise<AllInOneOptions> {
  const sizes = smallFiles.filter((word) => word !== '--set');
  const settings = await loadSettings({
    dataDir,
    set: [...sizes, 'diskFreeBytesMin=0', ...set],
    brokerPort: 0,
    ...more,
  });
  return { settings, namesrvPort: 0, proxyPort: undefined, logger: pino({ level: 'silent' }) };
}

/** A port that somebody else has. */
async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => server.close());
  return (server.address() as { port: number }).port;
}

/** Whether the port can be had, which it cannot while anything of a failed start still listens. */
async function assertFree(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

test('all in one: what the ready file will say is what really runs, and all of it is gone after the stop', async (t) => {
  const dataDir = join(await temporaryFolder(t, 'all-in-one'), 'data');
  const server = await startAllInOne(await optionsFor(dataDir, ['brokerName=b', 'brokerClusterName=c']));
  await server.routable;
  const { namesrv, broker, ...rest } = server.ready;
  assert.deepEqual(
    { ...rest, brokerVip: undefined },
    {
      brokerVip: undefined,
      brokerName: 'b',
      clusterName: 'c',
      dataDir,
      engine: 'channel',
      flushDiskType: 'SYNC_FLUSH',
    },
  );
  assert.equal((await command(['produce', 'T', '--body', 'x', '--namesrv', namesrv!])).code, 0);
  assert.ok(existsSync(join(dataDir, 'abort')));
  const before = server.progress();
  await server.stop();
  assert.ok(server.progress() > before, 'a stop that got on');
  assert.deepEqual(server.diskCalls(), []);
  assert.equal(existsSync(join(dataDir, 'abort')), false);
  for (const address of [namesrv!, broker!]) await assertFree(Number(address.split(':')[1]));
});

test('all in one: a port that is taken leaves no directory, and gives the other port back', async (t) => {
  const dataDir = join(await temporaryFolder(t, 'all-in-one'), 'data');
  const taken = await takenPort(t);
  const forNamesrv = { ...(await optionsFor(dataDir)), namesrvPort: taken, onListening: () => assert.fail('not ours') };
  await assert.rejects(startAllInOne(forNamesrv), {
    code: 'CLI_PORT_IN_USE',
    message: new RegExp(`the nameserver cannot listen on 127\\.0\\.0\\.1:${taken}: .*take another with --namesrv-port`),
  });
  const namesrvPort = Number((await deadAddress()).split(':')[1]);
  const forBroker = { ...(await optionsFor(dataDir, [], { brokerPort: taken })), namesrvPort };
  await assert.rejects(startAllInOne(forBroker), {
    code: 'CLI_PORT_IN_USE',
    message: new RegExp(`the broker cannot listen on 127\\.0\\.0\\.1:${taken}: .*take another with --broker-port`),
  });
  await assertFree(namesrvPort);
  assert.equal(existsSync(dataDir), false);
});

test('all in one: what cannot be opened is refused with its code, and what is no store keeps every byte', async (t) => {
  const folder = await temporaryFolder(t, 'all-in-one');
  mkdirSync(join(folder, 'project'));
  writeFileSync(join(folder, 'project', 'package.json'), '{}');
  writeFileSync(join(folder, 'file'), 'not a directory');
  mkdirSync(join(folder, 'damaged', 'config'), { recursive: true });
  mkdirSync(join(folder, 'damaged', 'commitlog'));
  writeFileSync(join(folder, 'damaged', 'config', 'topics.json'), '{"topicConfigTable":');
  const before = treeHash(folder);
  for (const [name, code] of [
    ['project', 'STORE_NOT_A_STORE'],
    ['file', 'STORE_DIRECTORY_UNUSABLE'],
    ['damaged', 'STORE_METADATA_DAMAGED'],
  ] as const) {
    await assert.rejects(startAllInOne(await optionsFor(join(folder, name))), { code }, name);
    if (name !== 'damaged') assert.equal(treeHash(folder), before, name);
  }
  assert.deepEqual(readdirSync(join(folder, 'project')), ['package.json']);
});

test('all in one: what is thrown when the ports are ours is a failed start that leaves no directory and no port', async (t) => {
  const dataDir = join(await temporaryFolder(t, 'all-in-one'), 'data');
  const onListening = (): never => {
    throw new Error('the ready file cannot be written');
  };
  await assert.rejects(
    startAllInOne({ ...(await optionsFor(dataDir)), onListening }),
    /the ready file cannot be written/,
  );
  assert.equal(existsSync(dataDir), false);
});

test('all in one: a second one on the same directory is refused by its lock, and the first serves on', async (t) => {
  const first = await localBroker(t);
  await assert.rejects(startAllInOne(await optionsFor(first.dataDir)), { code: 'STORE_LOCKED' });
  assert.equal((await command(['produce', 'T', '--body', 'x', '--namesrv', first.namesrv])).code, 0);
});

test('all in one: without a nameserver of its own it is routable when one outside has taken it', async (t) => {
  const outside = await localBroker(t);
  const dataDir = join(await temporaryFolder(t, 'all-in-one'), 'data');
  const options = await optionsFor(dataDir, [`namesrvAddr=${outside.namesrv}`, 'brokerName=second']);
  const server = await startAllInOne({ ...options, namesrvPort: undefined });
  cleanUp(t, () => server.stop());
  await server.routable;
  assert.equal(server.ready.namesrv, undefined);
  assert.equal(server.startUp.namesrvAddr, outside.namesrv);
  const { stdout } = await command(['status', '--json', '--namesrv', outside.namesrv]);
  assert.deepEqual((JSON.parse(stdout) as { brokerName: string }[]).map(({ brokerName }) => brokerName).sort(), [
    'broker-a',
    'second',
  ]);
});
