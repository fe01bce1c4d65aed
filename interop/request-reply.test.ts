/** A producer asks, a consumer answers, with RocketMQ's own client in two processes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic, startBroker } from './peers/brokers.ts';
import { type ClientPeer, startJavaReplies } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { skipUnless, unique } from './peers/suite.ts';

const ASKERS = 3;
const QUESTIONS = 20;

describe('request and reply: rocketmq-client 5.5.0', { skip: skipUnless(javaMissing()) }, () => {
  let broker: BrokerPeer;
  let asking: ClientPeer;
  let answering: ClientPeer;
  const topic = unique('questions');
  const names = Array.from({ length: ASKERS }, () => unique('asker'));

  before(async () => {
    broker = await startBroker('SYNC_FLUSH');
    await createTopic(broker, topic);
    asking = startJavaReplies();
    answering = startJavaReplies();
    const namesrv = broker.namesrvAddr;
    await answering.call('answerer.start', { name: 'answerer', group: unique('answerers'), namesrv, topic });
    for (const name of names) await asking.call('asker.start', { name, group: unique('askers'), namesrv });
  });

  after(async () => {
    await asking?.stop();
    await answering?.stop();
    await broker?.stop();
  });

  it('each of several producers gets the answers to its own questions', async () => {
    const ask = async (name: string): Promise<void> => {
      for (let at = 0; at < QUESTIONS; at++) {
        // Every fourth is long enough for the client to compress it.
        const body = `${name}-${at}${at % 4 === 0 ? '-long'.repeat(500) : ''}`;
        const answer = await asking.call<{ topic: string; error?: string }>('asker.ask', { name, topic, body });
        assert.deepEqual(
          answer,
          { body: `${body}-answered`, topic: answer.topic, sameCorrelation: true, hasPushTime: true },
          asking.log.slice(-2_000),
        );
        assert.match(answer.topic, /_REPLY_TOPIC$/);
      }
    };
    await Promise.all(names.map(ask));
  });

  it('a question that nobody answers ends with the client’s own timeout', async () => {
    await answering.call('answerer.stop', { name: 'answerer' });
    const answer = await asking.call('asker.ask', { name: names[0]!, topic, body: 'nobody there', timeout: 1_500 });
    assert.deepEqual(answer, { error: 'RequestTimeoutException' });
  });
});
