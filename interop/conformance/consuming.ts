/** Orderly, broadcast, where a group begins, and what an operator does with its offsets. */
import { type Bench, pause, said } from './bench.ts';
import { type Chapter, type Names, restartCase } from './case.ts';
import { consumed, member, subscriptionOf } from './filters.ts';

interface Delivery {
  index: string;
  queueId: number;
  queueOffset: number;
  reconsumeTimes: number;
}

/** A topic with `count` messages in each queue, put by the wire; bodies of no client. */
async function filled(bench: Bench, topic: string, count: number, queues = 1): Promise<void> {
  await bench.routed(topic, queues);
  for (let queueId = 0; queueId < queues; queueId += 1) {
    for (let index = 0; index < count; index += 1) {
      await bench.put(topic, {
        queueId,
        properties: { index: String(index), UNIQ_KEY: `${topic}_${queueId}_${index}` },
      });
    }
  }
  await bench.until('all of them in their queues', async () =>
    (await bench.maxOffset(topic, queues - 1)) === count ? true : undefined,
  );
}

const lock = (
  bench: Bench,
  code: 41 | 42,
  consumerGroup: string,
  clientId: string,
  topic: string,
  queueIds: number[],
) =>
  bench.ask(
    code,
    {},
    JSON.stringify({
      consumerGroup,
      clientId,
      mqSet: queueIds.map((queueId) => ({ topic, brokerName: 'broker-a', queueId })),
    }),
  );

/** INVOKE_BROKER_TO_RESET_OFFSET. */
const reset = (bench: Bench, group: string, topic: string, values: Record<string, number | boolean>) =>
  bench.ask(222, { topic, group, timestamp: -1, isForce: true, ...values });

const ordered = (deliveries: readonly Delivery[]): boolean => {
  const latest = new Map<number, number>();
  return deliveries.every(({ queueId, queueOffset }) => {
    const before = latest.get(queueId) ?? -1;
    latest.set(queueId, Math.max(before, queueOffset));
    return queueOffset >= before;
  });
};

async function orderlyWith(bench: Bench, { topic, group }: Names, kind: 'Go'): Promise<string> {
  await bench.routed(topic, 2);
  await bench.java('delay.send', { group: `${group}_p`, topic, run: topic, level: 0, count: 40 });
  const client = bench.client(kind);
  const [name, { namesrv }] = [bench.unique('orderly'), bench];
  await client.call('consumer.start', { name, group, namesrv, topic, run: topic, orderly: true });
  await client.call('consumer.await', { name, distinct: 40 });
  const report = await client.call<{ total: number; disordered: number }>('consumer.stop', { name });
  return `${report.total} deliveries, ${report.disordered} out of order`;
}

export const consuming: Chapter = {
  title: 'Orderly, broadcast, beginnings and resets',
  cases: [
    {
      behaviour:
        'an orderly listener that fails each message twice: queue by queue in order, the failed one before its successors',
      client: 'Java',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 5, 2);
        const name = bench.unique('orderly');
        await bench.java('wide.consume', { name, topic, group, orderly: true, failTimes: 2 });
        const deliveries = await bench.until('all tries', async () => {
          const now = await bench.java<Delivery[]>('wide.deliveries', { name });
          return now.length >= 30 ? now : undefined;
        });
        await pause(1_000);
        const all = await bench.java<Delivery[]>('wide.deliveries', { name });
        await bench.java('wide.stop', { name });
        const retries = (await bench.records(`%RETRY%${group}`)).length;
        return `${all.length} deliveries, ${ordered(deliveries) ? 'in order' : 'out of order'}, ${retries} retries in a topic`;
      },
    },
    {
      behaviour: 'an orderly listener gets each queue in order',
      client: 'Go',
      run: (bench, names) => orderlyWith(bench, names, 'Go'),
    },
    {
      behaviour: 'locks on queues: another client gets none, its own again, all after the unlock',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic, 2);
        const locked = async (clientId: string, ids: number[]) => {
          const answer = await lock(bench, 41, group, clientId, topic, ids);
          const { lockOKMQSet } = JSON.parse(answer.body.toString());
          return (
            lockOKMQSet
              .map(({ queueId }: { queueId: number }) => queueId)
              .sort()
              .join(' ') || 'none'
          );
        };
        const seen = [await locked('one', [0, 1]), await locked('two', [0, 1]), await locked('one', [0])];
        await lock(bench, 42, group, 'two', topic, [0]);
        seen.push(await locked('two', [0]));
        await lock(bench, 42, group, 'one', topic, [0]);
        seen.push(await locked('two', [0, 1]));
        return seen.join('; ');
      },
    },
    {
      behaviour: 'a broadcast group of two: each member gets all, and failures do not come again',
      client: 'Java',
      edge: 'B.14',
      async run(bench, { topic, group }) {
        await bench.routed(topic, 2);
        const names = [bench.unique('all'), bench.unique('all')];
        for (const name of names)
          await bench.java('wide.consume', { name, topic, group, broadcast: true, failTimes: 9 });
        await bench.java('wide.send', { topic, count: 6 });
        const counts = () =>
          Promise.all(names.map(async (name) => (await bench.java<Delivery[]>('wide.deliveries', { name })).length));
        await bench.until('all at both', async () =>
          (await counts()).every((count) => count >= 6) ? true : undefined,
        );
        await pause(3_000);
        const seen = await counts();
        for (const name of names) await bench.java('wide.stop', { name });
        const retries = (await bench.records(`%RETRY%${group}`)).length;
        return `${seen.join(' and ')} deliveries, ${retries} records in %RETRY%, committed ${await bench.committed(group, topic)}`;
      },
    },
    {
      behaviour: 'CONSUME_FROM_FIRST_OFFSET: a new group gets what was there',
      client: 'Java',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        return consumed(bench, { topic, group }, 3);
      },
    },
    {
      behaviour: 'CONSUME_FROM_LAST_OFFSET: a new group of a young queue begins at its first message',
      client: 'Java',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        return consumed(bench, { topic, group, from: 'CONSUME_FROM_LAST_OFFSET' }, 3);
      },
    },
    {
      behaviour: 'CONSUME_FROM_TIMESTAMP, half an hour ago and in the past: a new group of a young queue',
      client: 'Java',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 3);
        return consumed(bench, { topic, group, from: 'CONSUME_FROM_TIMESTAMP', timestamp: '20200101000000' }, 3);
      },
    },
    {
      behaviour:
        'offset of a group that never committed: with and without setZeroIfNotFound, of a topic that is not there',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await filled(bench, topic, 2);
        const zero = await bench.ask(14, { consumerGroup: group, topic, queueId: 0 });
        return [
          `code ${zero.code} offset ${zero.extFields.offset}`,
          await bench.committed(group, topic),
          await bench.committed(group, other('none')),
        ].join(', ');
      },
    },
    {
      behaviour: 'offsets by time: before all, after all, of a message, both boundaries, of an empty queue',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic, 3, 2);
        const times = (await bench.records(topic)).map(({ storeTimestamp }) => storeTimestamp);
        const at = async (timestamp: number, more = {}) =>
          (await bench.ask(29, { topic, queueId: 0, timestamp, ...more })).extFields.offset;
        return [
          await at(0),
          await at(Date.now() + 3_600_000),
          (await at(times[0]!)) === '0' ? 'the first of its time' : 'another',
          await at(times[0]! - 1, { boundaryType: 'UPPER' }),
          await at(times.at(-1)!, { boundaryType: 'UPPER' }),
          await at(0, { queueId: 7 }),
        ].join(', ');
      },
    },
    {
      behaviour: 'pulls at the maximum, beyond it, below 0, of a queue and a topic that are not there',
      client: 'wire',
      async run(bench, { topic, other }) {
        await filled(bench, topic, 2);
        const pulls = [
          await bench.pull(topic, 2),
          await bench.pull(topic, 5),
          await bench.pull(topic, -1),
          await bench.pull(topic, 0, { queueId: 7 }),
          await bench.pull(other('none'), 0),
        ];
        return pulls
          .map(({ code, extFields }) => `code ${code} next ${extFields.nextBeginOffset ?? 'none'}`)
          .join(', ');
      },
    },
    {
      behaviour: 'a pull that waits ends when a message comes',
      client: 'wire',
      async run(bench, { topic }) {
        await filled(bench, topic, 1);
        const waiting = bench.pull(topic, 1, { sysFlag: 6, suspendTimeoutMillis: 15_000 });
        await pause(300);
        await bench.put(topic, { properties: { index: '1' } });
        const { code, body } = await waiting;
        return `code ${code}, ${bench.decode(body).length} message`;
      },
    },
    {
      behaviour: 'reset of a group that is not there, of a topic that is not there, beyond the end',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await filled(bench, topic, 3);
        await bench.group(group);
        await bench.commit(group, topic, 3);
        const answers = [
          await reset(bench, other('nobody'), topic, { offset: 1, queueId: 0 }),
          await reset(bench, group, other('none'), { offset: 1, queueId: 0 }),
          await reset(bench, group, topic, { offset: 5, queueId: 0 }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'reset by offset and by time while nobody is there: what the group reads next',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 4);
        await bench.group(group);
        await bench.commit(group, topic, 4);
        const answer = await reset(bench, group, topic, { offset: 2, queueId: 0 });
        const byOffset = await bench.committed(group, topic);
        const byTime = await reset(bench, group, topic, { timestamp: 0 });
        return `${said(answer)} at ${byOffset}, ${said(byTime)} at ${await bench.committed(group, topic)}`;
      },
    },
    {
      behaviour: 'reset by time while a listener runs: it gets all again',
      client: 'Java',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 4);
        const name = bench.unique('reset');
        await bench.java('wide.consume', { name, topic, group });
        const deliveries = () => bench.java<Delivery[]>('wide.deliveries', { name });
        await bench.until('all four', async () => ((await deliveries()).length >= 4 ? true : undefined));
        await bench.until('their commit', async () =>
          (await bench.committed(group, topic)) === '4' ? true : undefined,
        );
        const answer = await reset(bench, group, topic, { timestamp: 0 });
        await bench.until('all four again', async () => ((await deliveries()).length >= 8 ? true : undefined));
        await pause(1_000);
        const count = (await deliveries()).length;
        await bench.java('wide.stop', { name });
        return `${said(answer)}; ${count} deliveries`;
      },
    },
    {
      behaviour: 'a commit in flight when a group is reset does not undo it',
      client: 'wire',
      async run(bench, { topic, group }) {
        await filled(bench, topic, 4);
        await bench.group(group);
        await bench.commit(group, topic, 4);
        await reset(bench, group, topic, { offset: 1, queueId: 0 });
        await bench.commit(group, topic, 4);
        const { code, extFields } = await bench.pull(topic, 4, { consumerGroup: group });
        return `pull at 4: code ${code}, next ${extFields.nextBeginOffset}`;
      },
    },
    {
      behaviour: 'members of a group: a notice to the others when one comes and when one goes',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const sessions = [await bench.session(), await bench.session()];
        const consumer = member(group, [subscriptionOf(topic, '*', 'TAG', 1)]);
        for (const [index, session] of sessions.entries()) await bench.heartbeat(session, `m${index}`, { consumer });
        const notices = () => sessions[0]!.asked.filter(({ code }) => code === 40).length;
        await bench.until('a notice', async () => (notices() > 0 ? true : undefined));
        const list = JSON.parse((await bench.ask(38, { consumerGroup: group })).body.toString()).consumerIdList;
        const before = notices();
        sessions[1]!.close();
        await bench.until('another notice', async () => (notices() > before ? true : undefined));
        const left = JSON.parse((await bench.ask(38, { consumerGroup: group })).body.toString()).consumerIdList;
        sessions[0]!.close();
        return `${list.sort().join(' ')}, then ${left.join(' ')}`;
      },
    },
    restartCase({
      behaviour: 'SIGKILL: what was committed six seconds before is known',
      client: 'wire',
      async before(bench, { topic, group }) {
        await filled(bench, topic, 4);
        await bench.group(group);
        await bench.commit(group, topic, 3);
        // Both write the table each five seconds, RocketMQ for the first time ten seconds after its start.
        await pause(6_500);
      },
      async after(bench, { topic, group }) {
        const stats = await bench.ask(208, { consumerGroup: group, topic });
        return `committed ${await bench.committed(group, topic)}, stats ${said(stats)}`;
      },
    }),
  ],
};
