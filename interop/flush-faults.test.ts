/**
 * What a Java client sees when the disk hangs and when it fails: the flush of the commit log is delayed, or made to fail
 * once, in the running broker's system calls.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic } from './peers/brokers.ts';
import { track } from './peers/child.ts';
import { type ClientPeer, type ReceiveReport, type SendReport, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { type FlushCalls, inject, injection, straceMissing } from './peers/strace.ts';
import { skipUnless, unique } from './peers/suite.ts';
import { startVernier, vernierBin } from './peers/vernier.ts';

/** So that the injected faults are counted in one thread, which strace counts by. */
const oneThread = { UV_THREADPOOL_SIZE: '1' };
const syncFlushTimeout = 700;
const delayMs = 5_000;

const engines = [
  // A group goes out as one write on an O_DSYNC descriptor, or as a write and an fdatasync.
  { name: 'channel', writeWithoutMmap: true, calls: 'pwrite64,pwritev,fdatasync', byPath: true },
  { name: 'mmap', writeWithoutMmap: false, calls: 'msync', byPath: false },
];

for (const engine of engines) {
  describe(
    `flush faults with rocketmq-client 5.5.0 (Java), engine ${engine.name}`,
    {
      skip: skipUnless(javaMissing() ?? straceMissing()),
      timeout: 120_000,
    },
    () => suite(engine),
  );
}

function suite(engine: (typeof engines)[number]): void {
  let broker: BrokerPeer;
  let client: ClientPeer;
  let producer: string;

  const start = async (env: Record<string, string>): Promise<void> => {
    const extraConfig = { syncFlushTimeout, writeWithoutMmap: engine.writeWithoutMmap };
    broker = await startVernier({ flushDiskType: 'SYNC_FLUSH', extraConfig, env });
    producer = unique('producer');
    // Longer than the broker waits for the disk, so that the broker's own answer arrives; and no second try.
    const values = { name: producer, group: unique('pgroup'), sendMsgTimeout: 20_000, retries: 0 };
    await client.call('producer.start', { ...values, namesrv: broker.namesrvAddr });
  };
  const logFile = (): string => {
    const folder = join(broker.storeDir, 'commitlog');
    return join(folder, readdirSync(folder).sort()[0]!);
  };
  const flushCalls = (): FlushCalls => ({ calls: engine.calls, path: engine.byPath ? logFile() : undefined });
  const send = (topic: string, run: string, from: number, count: number, mode = 'async'): Promise<SendReport> =>
    client.call<SendReport>('producer.send', { name: producer, topic, run, mode, from, count });

  before(() => {
    client = startJavaClient('5.5.0');
  });
  afterEach(() => broker?.stop());
  after(() => client?.stop());

  it('a flush that hangs: FLUSH_DISK_TIMEOUT after syncFlushTimeout, nothing visible before it is on disk', async () => {
    await start({});
    const [topic, run, consumer] = [unique('topic'), unique('run'), unique('consumer')];
    await createTopic(broker, topic, 1);
    const namesrv = broker.namesrvAddr;
    await client.call('consumer.start', { name: consumer, group: unique('group'), namesrv, topic, run });
    assert.deepEqual((await send(topic, run, 0, 10)).status, { SEND_OK: 10 });
    await client.call('consumer.await', { name: consumer, distinct: 10 });

    const hang = await inject(broker.pid, flushCalls(), `delay_enter=${delayMs * 1000}`);
    const late = await send(topic, run, 10, 20);
    assert.deepEqual([late.status, late.errors], [{ FLUSH_DISK_TIMEOUT: 20 }, {}]);
    assert.ok(late.millis >= syncFlushTimeout, `answered after ${late.millis} ms`);
    assert.ok(late.millis < delayMs, `the answer waited for the disk: ${late.millis} ms`);
    const seen = await client.call<ReceiveReport>('consumer.await', { name: consumer, distinct: 0 });
    assert.equal(seen.distinct, 10, 'a consumer saw messages that are not on disk');
    await hang.detach();

    await client.call('consumer.await', { name: consumer, distinct: 30, timeout: 30_000 });
    assert.deepEqual((await send(topic, run, 30, 10)).status, { SEND_OK: 10 });
    await client.call('consumer.await', { name: consumer, distinct: 40 });
    const report = await client.call<ReceiveReport>('consumer.stop', { name: consumer });
    assert.deepEqual([report.distinct, report.total, report.faulty, report.gaps], [40, 40, 0, 0]);
    await client.call('producer.stop', { name: producer });
  });

  it('a flush that fails once: all waiters and every later send are refused with the cause, pulls go on', async () => {
    await start(oneThread);
    const [topic, run] = [unique('topic'), unique('run')];
    await createTopic(broker, topic, 1);
    assert.deepEqual((await send(topic, run, 0, 25)).status, { SEND_OK: 25 });

    const failing = await inject(broker.pid, flushCalls(), 'error=EIO:when=1');
    const waiters = await send(topic, run, 25, 20);
    await failing.detach();
    assert.deepEqual(waiters.status, {}, 'acknowledged although the flush failed');
    // The disk is well again, and still nothing is taken: a second sync may succeed without having written the pages.
    const later = await send(topic, run, 45, 5, 'sync');
    assert.deepEqual(later.status, {}, 'acknowledged after a failed flush');
    // Whether a waiter's message is on disk nobody knows, so it is no plain refusal; later ones are refused.
    const causes = (report: SendReport): string[] => Object.keys(report.errors);
    assert.ok(causes(waiters).length > 0 && causes(later).length > 0);
    for (const cause of causes(waiters)) assert.match(cause, /CODE: (1|14) .*EIO/s);
    for (const cause of causes(later)) assert.match(cause, /CODE: 14 .*EIO/s);

    const pull = () =>
      client.call<ReceiveReport>('pull.drain', {
        ...{ name: unique('pull'), group: unique('group'), namesrv: broker.namesrvAddr, topic, run },
      });
    const pulled = await pull();
    assert.deepEqual(
      [pulled.distinct, pulled.faulty],
      [25, 0],
      'what was on disk must stay readable, and nothing else',
    );

    await broker.killBroker();
    // What only the page cache may have is not served: when it cannot be made durable, the store does not open.
    const refused = track(
      spawn(
        'strace',
        [
          ...injection({ calls: 'fdatasync,pwrite64,pwritev', path: logFile() }, 'error=EIO'),
          ...[
            process.execPath,
            vernierBin,
            'start',
            broker.storeDir,
            '--broker-port',
            '0',
            '--no-proxy',
            '--namesrv-port',
            '0',
          ],
        ],
        { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...oneThread } },
      ),
    );
    let said = '';
    for (const stream of [refused.stdout!, refused.stderr!])
      stream.setEncoding('utf8').on('data', (text) => (said += text));
    const [code] = await once(refused, 'close');
    assert.notEqual(code, 0, `started although the disk refused what recovery wrote:\n${said}`);
    assert.match(said, /EIO/);

    await broker.startBroker();
    const recovered = await pull();
    assert.equal(recovered.faulty, 0);
    assert.ok(recovered.distinct >= 25 && recovered.gaps === 0, `${recovered.distinct} of 25 acknowledged messages`);
    assert.deepEqual((await send(topic, run, 50, 5, 'sync')).status, { SEND_OK: 5 });
    await client.call('producer.stop', { name: producer });
  });
}
