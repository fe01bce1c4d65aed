/** The tests that only a Java client can make: queries, the pull consumers, the orderly listener's own retry. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assertAllOnce, clientSuite, type SuiteContext } from './client-suite.ts';
import { createTopic } from './peers/brokers.ts';
import type { ReceiveReport } from './peers/client-peer.ts';
import { startJavaClient } from './peers/client-peer.ts';
import { type ApacheVersion, javaMissing } from './peers/java.ts';
import { unique } from './peers/suite.ts';

interface Described {
  topic: string;
  index: string;
  fault: string | null;
  queueId: number;
  queueOffset: number;
  commitLogOffset: number;
  flag: number;
}

function more(context: SuiteContext): void {
  it('VIEW_MESSAGE finds a message by the offset id that the broker gave', async () => {
    const { peer, broker, topic, sent } = context;
    for (const sample of sent.sync!.samples.slice(0, 3)) {
      const seen = await peer.call<Described>('query.view', {
        namesrv: broker.namesrvAddr,
        topic,
        msgId: sample.offsetMsgId,
      });
      assert.equal(seen.fault, null);
      assert.deepEqual(
        [seen.topic, seen.index, seen.queueId, seen.queueOffset, seen.flag],
        [topic, String(sample.index), sample.queueId, sample.queueOffset, sample.index % 7],
      );
    }
  });

  it('QUERY_MESSAGE finds a message by its unique key, by a key of its own and by a shared key', async () => {
    const { peer, broker, topic, sent, run, messageCount } = context;
    const namesrv = broker.namesrvAddr;
    const sample = sent.async!.samples[0]!;
    const byUniqueKey = await peer.call<Described>('query.view', { namesrv, topic, msgId: sample.msgId });
    assert.deepEqual([byUniqueKey.index, byUniqueKey.fault], [String(sample.index), null]);
    const byKey = await peer.call<Described[]>('query.key', { namesrv, topic, key: `${run}-${sample.index}` });
    assert.deepEqual(
      byKey.map((found) => [found.index, found.fault, found.queueOffset]),
      [[String(sample.index), null, sample.queueOffset]],
    );
    const shared = await peer.call<Described[]>('query.key', { namesrv, topic, key: `${run}-group-${17}`, max: 32 });
    assert.equal(shared.length, 32);
    assert.ok(shared.every((found) => Number(found.index) % 100 === 17 && found.fault === null));
    assert.equal(new Set(shared.map((found) => found.index)).size, 32);
    assert.ok(messageCount / 100 > 32);
    await assert.rejects(
      peer.call('query.key', { namesrv, topic, key: `${run}-nobody` }),
      /CODE: 208|query message by key finished, but no message/,
    );
  });

  it('offsets: minimum, maximum, by time and committed agree with what was sent', async () => {
    const { peer, broker, topic, messageCount } = context;
    const queues = await peer.call<Record<string, number>[]>('query.offsets', { namesrv: broker.namesrvAddr, topic });
    assert.equal(queues.length, 4);
    // The restart test added 400 messages of its own. A group that never committed starts at 0 while the queue's first
    // message is still there (RocketMQ ConsumerManageProcessor).
    assert.equal(
      queues.reduce((sum, queue) => sum + queue.max!, 0),
      messageCount + 400,
    );
    for (const queue of queues) {
      assert.deepEqual([queue.min, queue.atZero, queue.atFuture, queue.committed], [0, 0, queue.max, 0]);
      assert.ok(queue.earliest! > Date.now() - 600_000 && queue.earliest! <= Date.now());
    }
  });

  it('the pull consumer reads everything, with and without a tag', async () => {
    const { peer, broker, topic, run, messageCount } = context;
    const namesrv = broker.namesrvAddr;
    const pulled = await peer.call<ReceiveReport>('pull.drain', {
      ...{ name: unique('pull'), group: unique('group'), namesrv, topic, run },
    });
    assertAllOnce({ ...pulled, foreign: 0 }, messageCount);
    assert.deepEqual([pulled.disordered, Object.keys(pulled.statuses!)], [0, ['FOUND']]);
    const tagged = await peer.call<ReceiveReport>('pull.drain', {
      ...{ name: unique('pull'), group: unique('group'), namesrv, topic, run, tags: 'TagB' },
    });
    assert.deepEqual([Object.keys(tagged.tags), tagged.faulty], [['TagB'], 0]);
    assert.equal(tagged.distinct, Math.floor((messageCount + 1) / 3));
  });

  it('an orderly listener that fails a message once gets it again before its successors', async () => {
    const { peer, broker } = context;
    const topic = unique('topic');
    const run = unique('run');
    await createTopic(broker, topic, 2);
    const name = unique('consumer');
    const namesrv = broker.namesrvAddr;
    await peer.call('consumer.start', {
      name,
      group: unique('group'),
      namesrv,
      topic,
      run,
      orderly: true,
      failOnce: 11,
    });
    await peer.call('producer.start', { name: topic, group: unique('pgroup'), namesrv });
    await peer.call('producer.send', { name: topic, topic, run, mode: 'sync', count: 60 });
    await peer.call('producer.stop', { name: topic });
    await peer.call('consumer.await', { name, distinct: 60, timeout: 60_000 });
    const report = await peer.call<ReceiveReport>('consumer.stop', { name });
    assert.deepEqual([report.distinct, report.total, report.disordered, report.faulty], [60, 61, 0, 0]);
  });
}

/** Clients from 4.6.0 on. */
function litePull(context: SuiteContext): void {
  it('the lite pull consumer reads everything', async () => {
    const { peer, broker, topic, run, messageCount } = context;
    const lite = await peer.call<ReceiveReport>('litepull.drain', {
      ...{ name: unique('lite'), group: unique('group'), namesrv: broker.namesrvAddr, topic, run },
      distinct: messageCount,
    });
    assertAllOnce({ ...lite, foreign: 0 }, messageCount);
    assert.equal(lite.disordered, 0);
  });
}

export function javaClientSuite(version: ApacheVersion): void {
  clientSuite({
    name: `rocketmq-client ${version} (Java)`,
    missing: javaMissing(),
    start: () => startJavaClient(version),
    modes: { sync: 5_000, async: 5_000, oneway: 5_000, batch: 5_000 },
    abilities: { orderly: true, queues: true, unicodeTags: true },
    more: (context) => {
      more(context);
      if (version !== '4.2.0') litePull(context);
    },
  });
}
