/**
 * A directory of RocketMQ 4.9.7, the last broker of the 4.x line: the doctor finds nothing in it, after an orderly end and
 * after a killed process; Vernier goes on with it, and the old broker with what Vernier has added.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { assertAllOnce } from './client-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic } from './peers/brokers.ts';
import { type ClientPeer, type ReceiveReport, type SendReport, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheRocketMQ } from './peers/java-broker.ts';
import { note, skipUnless, unique } from './peers/suite.ts';
import { startVernier, vernierBin } from './peers/vernier.ts';

const MESSAGES = 2_000;
/** The sizes that the small Java broker has. */
const sizes = {
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 100_000,
  maxHashSlotNum: 100_000,
  maxIndexNum: 400_000,
};

/** `vernier store …`: exit code and what it printed. */
async function store(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = promisify(execFile)(process.execPath, [vernierBin, 'store', ...args], {
    maxBuffer: 256 * 1024 * 1024,
  });
  return await command.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
}

describe('a store of RocketMQ 4.9.7', { skip: skipUnless(javaMissing()), timeout: 600_000 }, () => {
  let folder: string;
  let dir: string;
  let client: ClientPeer;
  let broker: BrokerPeer;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-4x-'));
    dir = join(folder, 'store');
    client = startJavaClient('4.9.8');
    broker = await startApacheRocketMQ({ version: '4.9.7', flushDiskType: 'ASYNC_FLUSH', storeDir: dir });
  });
  after(async () => {
    await client?.kill();
    await broker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A topic of the run's name. */
  async function send(namesrv: string, run: string): Promise<void> {
    const name = unique('producer');
    await client.call('producer.start', { name, group: unique('pgroup'), namesrv });
    for (const mode of ['sync', 'batch']) {
      const from = mode === 'sync' ? 0 : MESSAGES / 2;
      const sent = await client.call<SendReport>('producer.send', {
        name,
        topic: run,
        run,
        mode,
        from,
        count: MESSAGES / 2,
      });
      assert.deepEqual(sent.errors, {}, mode);
    }
    await client.call('producer.stop', { name });
  }

  async function receiveAll(namesrv: string, run: string): Promise<void> {
    const name = unique('consumer');
    await client.call('consumer.start', { name, group: unique('group'), namesrv, topic: run, run });
    await client.call('consumer.await', { name, distinct: MESSAGES });
    assertAllOnce(await client.call<ReceiveReport>('consumer.stop', { name }), MESSAGES);
  }

  async function assertSound(t: TestContext, root: string, state: string): Promise<void> {
    const page = JSON.parse((await store('inspect', root, '--json')).stdout);
    assert.deepEqual([page.state, page.lastBroker], [state, 'java']);
    const verified = await store('verify', root, '--json');
    const { faults, findings, records } = JSON.parse(verified.stdout);
    assert.deepEqual([verified.code, faults, findings], [0, 0, []]);
    const dumped = await store('dump', root, '--topic', 'first', '--body', 'none', '--jsonl');
    assert.equal(dumped.code, 0, dumped.stderr);
    note(t, `${state}: ${records} records`);
  }

  it('the doctor has no finding: beside it, after a kill, after an orderly end', async (t) => {
    await createTopic(broker, 'first');
    await send(broker.namesrvAddr, 'first');
    await assertSound(t, dir, 'live');
    await broker.killBroker();
    await assertSound(t, dir, 'unclean');
    await broker.startBroker();
    await broker.stopBroker();
    await assertSound(t, dir, 'clean');
    const dumped = await store('dump', dir, '--topic', 'first', '--body', 'none', '--jsonl');
    assert.equal(dumped.stdout.trimEnd().split('\n').length, MESSAGES);
  });

  it('Vernier goes on with it, and 4.9.7 with what Vernier has added', async (t) => {
    const copy = join(folder, 'copy');
    cpSync(dir, copy, { recursive: true });
    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir: copy, extraConfig: sizes });
    t.after(() => vernier.stop());
    await receiveAll(vernier.namesrvAddr, 'first');
    await createTopic(vernier, 'second');
    await send(vernier.namesrvAddr, 'second');
    await vernier.stopBroker();
    const verified = await store('verify', copy, '--json');
    assert.equal(verified.code, 0, verified.stdout);

    const old = await startApacheRocketMQ({ version: '4.9.7', flushDiskType: 'ASYNC_FLUSH', storeDir: copy });
    t.after(() => old.stop());
    await receiveAll(old.namesrvAddr, 'first');
    await receiveAll(old.namesrvAddr, 'second');
  });
});
