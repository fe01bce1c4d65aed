/** Delay levels, messages with a time, and their recall. */
import { type Bench, pause, said, shape } from './bench.ts';
import type { Chapter, Names } from './case.ts';

const PRECISION_MS = 1_000;
const roundedUp = (time: number): number => Math.ceil(time / PRECISION_MS) * PRECISION_MS;

/** Sends one message whose time the properties say, and waits for it. */
async function timed(bench: Bench, { topic }: Names, properties: Record<string, string>) {
  await bench.topic(topic);
  const before = Date.now();
  const answer = await bench.send(topic, { properties: { UNIQ_KEY: `${topic}_1`, ...properties } });
  const after = Date.now();
  if (answer.code !== 0) return { answer, before, after, record: undefined };
  const [record] = await bench.recordsUntil(topic, 1);
  return { answer, before, after, record: record! };
}

/** Whether it came when the time was over and not before, a busy machine's seconds allowed. */
const punctual = (stored: number, due: number, more = 5_000): string =>
  stored < due ? `${due - stored} ms early` : stored > due + more ? `${stored - due} ms late` : 'at its time';

const recall = (bench: Bench, topic: string, recallHandle: string) =>
  bench.ask(370, { producerGroup: 'conformance_producers', topic, recallHandle });

const encodeHandle = (...parts: (string | number)[]): string => Buffer.from(parts.join(' ')).toString('base64url');

/** A message that waits, and its handle. */
async function waiting(bench: Bench, topic: string, key: string, delayMs: number) {
  const properties = { UNIQ_KEY: key, TIMER_DELIVER_MS: String(Date.now() + delayMs) };
  const { extFields } = await bench.put(topic, { properties });
  return extFields.recallHandle ?? '';
}

export const delay: Chapter = {
  title: 'Delay levels, times and recalls',
  cases: [
    {
      behaviour: 'DELAY=2: what the delivered message has, and when it comes',
      client: 'wire',
      async run(bench, names) {
        const { before, record } = await timed(bench, names, { DELAY: '2', TAGS: 'TagA' });
        return `${punctual(record!.storeTimestamp, before + 2_000)}; ${shape(record!.properties)}`;
      },
    },
    {
      behaviour: 'DELAY=19 and DELAY=1959 with 18 levels: the highest level',
      client: 'wire',
      edge: 'B.1',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const levels: string[] = [];
        for (const level of ['19', '1959']) {
          await bench.put(topic, { properties: { DELAY: level } });
        }
        const queue = await bench.until('both in their level’s queue', async () => {
          const records = await bench.records('SCHEDULE_TOPIC_XXXX', { queueId: 17 });
          const mine = records.filter(({ properties }) => properties.REAL_TOPIC === topic);
          return mine.length === 2 ? mine : undefined;
        });
        for (const { properties } of queue) levels.push(properties.DELAY!);
        return `levels ${levels.join(', ')}`;
      },
    },
    {
      behaviour: 'DELAY=0 and DELAY=−1: now',
      client: 'wire',
      edge: 'B.1',
      async run(bench, { topic }) {
        await bench.topic(topic);
        for (const level of ['0', '-1']) await bench.put(topic, { properties: { DELAY: level } });
        const records = await bench.recordsUntil(topic, 2, 2_000);
        return records.map(({ properties }) => shape(properties)).join('; ');
      },
    },
    {
      behaviour: 'DELAY that is no number',
      client: 'wire',
      differs: '`DELAY` that is no number',
      async run(bench, { topic }) {
        await bench.topic(topic);
        return said(await bench.send(topic, { properties: { DELAY: 'soon' } }));
      },
    },
    {
      behaviour: 'each level of a delayed message is told to its producer as the topic’s own queue and an offset',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic, 2);
        const { code, extFields } = await bench.send(topic, { queueId: 1, properties: { DELAY: '1' } });
        return `code ${code}, queueId ${extFields.queueId}`;
      },
    },
    {
      behaviour: 'a listener gets delayed messages, each once',
      client: 'Go',
      run: (bench, names) => delayedTo(bench, names, 'Go'),
    },
    {
      behaviour: 'a listener gets delayed messages, each once',
      client: 'Node',
      run: (bench, names) => delayedTo(bench, names, 'Node'),
    },
    ...(['TIMER_DELIVER_MS', 'TIMER_DELAY_MS', 'TIMER_DELAY_SEC'] as const).map((name) => ({
      behaviour: `${name}: at its time rounded up to the precision, not before; what the message has`,
      client: 'wire' as const,
      edge: 'B.2',
      async run(bench: Bench, names: Names) {
        await bench.topic(names.topic);
        const wanted = { TIMER_DELIVER_MS: Date.now() + 5_333, TIMER_DELAY_MS: 2_500, TIMER_DELAY_SEC: 3 }[name];
        const { before, record } = await timed(bench, names, { [name]: String(wanted) });
        const least = {
          TIMER_DELIVER_MS: wanted,
          TIMER_DELAY_MS: before + wanted,
          TIMER_DELAY_SEC: before + wanted * 1_000,
        };
        return `${punctual(record!.storeTimestamp, roundedUp(least[name]))}; ${shape(record!.properties)}`;
      },
    })),
    {
      behaviour: 'a time on a full second and one a millisecond later: the second it names, the next second',
      client: 'wire',
      edge: 'B.2',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const full = roundedUp(Date.now()) + 3_000;
        for (const time of [full, full + 1]) await bench.put(topic, { properties: { TIMER_DELIVER_MS: String(time) } });
        const records = await bench.recordsUntil(topic, 2);
        // Apache looks at its wheel each 100 ms; a busy machine takes longer.
        const waited = records.map(({ storeTimestamp }) => Math.floor((storeTimestamp - full) / 1_000));
        return `after ${waited[0]! < 0 ? 'less than 0' : 0} s, after ${waited[1]! < 1 ? 'less than 1' : 1} s`;
      },
    },
    {
      behaviour: 'DELAY beside TIMER_DELIVER_MS: the level decides',
      client: 'wire',
      async run(bench, names) {
        const far = String(Date.now() + 600_000);
        const { before, record } = await timed(bench, names, { DELAY: '1', TIMER_DELIVER_MS: far });
        return punctual(record!.storeTimestamp, before + 1_000);
      },
    },
    {
      behaviour: 'a time that is past: now',
      client: 'wire',
      async run(bench, names) {
        const past = String(Date.now() - 60_000);
        const { record } = await timed(bench, names, { TIMER_DELIVER_MS: past });
        return shape(record!.properties);
      },
    },
    {
      behaviour: 'a time beyond timerMaxDelaySec, and one that is no number',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const far = String(Date.now() + 4 * 24 * 3_600_000);
        const answers = [
          await bench.send(topic, { properties: { TIMER_DELIVER_MS: far } }),
          await bench.send(topic, { properties: { TIMER_DELAY_SEC: '259300' } }),
          await bench.send(topic, { properties: { TIMER_DELAY_MS: 'soon' } }),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'a recall handle names version, topic, broker, time and key',
      client: 'wire',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const parts = Buffer.from(await waiting(bench, topic, 'key1', 60_000), 'base64url')
          .toString()
          .split(' ');
        return parts.map((part) => (/^\d{13}$/.test(part) ? '<time>' : part)).join(' ');
      },
    },
    {
      behaviour: 'recalled twice before its time: 0 and 0, and it does not come; its neighbour does',
      client: 'wire',
      edge: 'B.4',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const handle = await waiting(bench, topic, `${topic}_a`, 6_000);
        await waiting(bench, topic, `${topic}_b`, 6_000);
        const answers = [await recall(bench, topic, handle), await recall(bench, topic, handle)];
        await bench.recordsUntil(topic, 1);
        await pause(3_000);
        const keys = (await bench.records(topic)).map(({ properties }) => properties.UNIQ_KEY);
        return `${answers.map(said).join(', ')}; came: ${keys.join(' ')}`;
      },
    },
    {
      behaviour: 'recalled after its delivery',
      client: 'wire',
      edge: 'B.4',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const handle = await waiting(bench, topic, `${topic}_a`, 1_500);
        await bench.recordsUntil(topic, 1);
        const answer = await recall(bench, topic, handle);
        await pause(2_000);
        return `${said(answer)}; ${(await bench.records(topic)).length} message`;
      },
    },
    {
      behaviour:
        'recalls with a handle that is none, of another topic, of another broker, of no topic, of an unknown key',
      client: 'wire',
      async run(bench, { topic, other }) {
        await bench.topic(topic);
        await bench.topic(other('t2'));
        const time = Date.now() + 60_000;
        const answers = [
          await recall(bench, topic, 'no handle'),
          await recall(bench, other('t2'), encodeHandle('v1', topic, 'broker-a', time, 'key')),
          await recall(bench, topic, encodeHandle('v1', topic, 'broker-b', time, 'key')),
          await recall(bench, other('t3'), encodeHandle('v1', other('t3'), 'broker-a', time, 'key')),
          await recall(bench, topic, encodeHandle('v1', topic, 'broker-a', time, 'nobody')),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'recalled after the message was stored anew because it waits longer than the window: it does not come',
      client: 'wire',
      edge: 'B.5',
      async run(bench, { topic }) {
        await bench.topic(topic);
        const handle = await waiting(bench, topic, `${topic}_a`, ROLL_WINDOW_MS + 15_000);
        await waiting(bench, topic, `${topic}_b`, ROLL_WINDOW_MS + 15_000);
        await pause(ROLL_WINDOW_MS);
        const answer = await recall(bench, topic, handle);
        await bench.recordsUntil(topic, 1);
        await pause(3_000);
        const keys = (await bench.records(topic)).map(({ properties }) => properties.UNIQ_KEY);
        return `${said(answer)}; came: ${keys.join(' ')}`;
      },
    },
  ],
};

/** `timerRollWindowSlot` of the brokers, at the precision of a second. */
export const ROLL_WINDOW_MS = 20_000;

async function delayedTo(bench: Bench, { topic, group }: Names, kind: 'Go' | 'Node'): Promise<string> {
  await bench.routed(topic);
  const { namesrv } = bench;
  const client = bench.client(kind);
  const [consumer, run] = [bench.unique('consumer'), topic];
  await client.call('consumer.start', { name: consumer, group, namesrv, topic, run });
  // Sent by Java, whose messages those of the others are equal to: neither peer sends levels by itself.
  const values = { group: `${group}_p`, topic, run, level: 2, count: 5 };
  const sent = await bench.java<{ status: string }[]>('delay.send', values);
  const report = await client.call<{ distinct: number; total: number; faulty: number }>('consumer.await', {
    name: consumer,
    distinct: 5,
  });
  await client.call('consumer.stop', { name: consumer });
  return `${sent.length} sent, ${report.distinct} in ${report.total} deliveries`;
}
