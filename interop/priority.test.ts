/** Priority messages (`_SYS_MSG_PRIORITY_`): where they go and in which order they are popped, asked of Apache's broker and ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { updateTopic } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { javaMissing } from './peers/java.ts';
import { startApacheRocketMQ } from './peers/java-broker.ts';
import { readRecord } from './peers/record.ts';
import { ask } from './peers/remoting-ask.ts';
import { note, skipUnless } from './peers/suite.ts';
import { startVernier } from './peers/vernier.ts';

const QUEUES = 4;

describe('priority messages of RocketMQ 5.5.0', { skip: skipUnless(javaMissing()), timeout: 600_000 }, () => {
  async function transcript(broker: BrokerPeer): Promise<unknown[]> {
    const lines: unknown[] = [];
    const made = await updateTopic(broker, 'Ranked', QUEUES, '+message.type=PRIORITY');
    assert.equal(made.code, 0, made.remark);
    const group = await ask(broker.brokerAddr, 200, {}, Buffer.from(JSON.stringify({ groupName: 'ranked-group' })));
    assert.equal(group.code, 0, group.remark);
    const send = async (text: string, more: string, topic = 'Ranked'): Promise<void> => {
      const fields = {
        ...{ producerGroup: 'p', topic, defaultTopic: 'TBW102', defaultTopicQueueNums: '4', queueId: '1' },
        ...{ sysFlag: '0', bornTimestamp: '1700000000000', flag: '0', batch: 'false' },
        properties: `UNIQ_KEY\u0001${text}\u0002${more}`,
      };
      const { code, extFields } = await ask(broker.brokerAddr, 10, fields, Buffer.from(text));
      lines.push(['send', text, code, extFields.queueId]);
    };
    const ranked = (priority: string): string => `_SYS_MSG_PRIORITY_\u0001${priority}\u0002`;
    for (const priority of ['0', '3', '1', '+2', '9', '-1', 'x', '2147483648']) await send(priority, ranked(priority));
    await send('fifo', `${ranked('3')}__SHARDINGKEY\u0001k\u0002`);
    const plain = await updateTopic(broker, 'Plain', QUEUES);
    assert.equal(plain.code, 0, plain.remark);
    await send('plain', ranked('2'), 'Plain');
    await askUntil('the last message', 20_000, undefined, async () => {
      // RequestCode 30 GET_MAX_OFFSET.
      const end = await ask(broker.brokerAddr, 30, { topic: 'Ranked', queueId: '1' });
      return Number(end.extFields.offset) >= 5 ? true : undefined;
    });
    const popped: unknown[] = [];
    for (let pops = 0; pops < 20 && popped.length < 9; pops++) {
      // RequestCode 200050 POP_MESSAGE.
      const answer = await ask(broker.brokerAddr, 200_050, {
        ...{ consumerGroup: 'ranked-group', topic: 'Ranked', queueId: '-1', maxMsgNums: '1', invisibleTime: '60000' },
        ...{ pollTime: '0', bornTime: String(Date.now()), initMode: '0', expType: 'TAG', exp: '*', order: 'false' },
      });
      if (answer.code !== 0) continue;
      const { properties, queueId } = readRecord(answer.body);
      popped.push([properties.UNIQ_KEY, queueId, properties._SYS_MSG_PRIORITY_]);
    }
    lines.push(popped);
    return lines;
  }

  it('they go to the same queues and come in the same order', async (t) => {
    const apache = await startApacheRocketMQ({ flushDiskType: 'SYNC_FLUSH' });
    t.after(() => apache.stop());
    const expected = await transcript(apache);
    await apache.stop();
    const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH' });
    t.after(() => vernier.stop());
    assert.deepEqual(await transcript(vernier), expected);
    note(t, JSON.stringify(expected));
  });
});
