/** Transactions: what is committed comes once, what nobody decided is asked about. */
import type { Answer } from '../peers/remoting-ask.ts';
import type { Asked, RemotingSession } from '../peers/remoting-session.ts';
import { type Bench, pause, said, shape } from './bench.ts';
import { type Chapter, restartCase } from './case.ts';

const COMMIT = 8;
const ROLLBACK = 12;

/** The place of a half, as its producer was told. */
export interface Half {
  commitLogOffset: number;
  queueOffset: string;
  msgId: string;
}

/** A member of a producer group, on a connection of its own. */
export class Member {
  readonly session: RemotingSession;
  readonly #bench: Bench;
  readonly #group: string;

  private constructor(bench: Bench, session: RemotingSession, group: string) {
    this.#bench = bench;
    this.session = session;
    this.#group = group;
  }

  static async join(bench: Bench, group: string, clientId = bench.unique('member')): Promise<Member> {
    const session = await bench.session();
    await bench.heartbeat(session, clientId, { producer: group });
    return new Member(bench, session, group);
  }

  /** Halves that this member was asked about. */
  checks(topic: string): Asked[] {
    return this.session.asked.filter(({ code, body }) => code === 39 && body.includes(topic));
  }

  async asked(topic: string): Promise<Asked> {
    return this.#bench.until(`a check of ${topic}`, async () => this.checks(topic)[0]);
  }

  async half(topic: string, properties: Record<string, string> = {}): Promise<Half> {
    return half(this.#bench, topic, this.#group, properties);
  }

  end(topic: string, at: Half, type: number, more: Record<string, string> = {}): Promise<Answer> {
    return end(this.#bench, topic, this.#group, at, type, more);
  }
}

const halfProperties = (group: string, more: Record<string, string> = {}): Record<string, string> => ({
  TRAN_MSG: 'true',
  PGROUP: group,
  UNIQ_KEY: '7F000001BBBB',
  ...more,
});

const sendHalf = (bench: Bench, topic: string, group: string, more: Record<string, string> = {}): Promise<Answer> =>
  bench.send(topic, { group, sysFlag: 4, properties: halfProperties(group, more) });

async function half(bench: Bench, topic: string, group: string, more: Record<string, string> = {}): Promise<Half> {
  const { code, remark, extFields } = await sendHalf(bench, topic, group, more);
  if (code !== 0) throw new Error(`half: code ${code} ${remark}`);
  const msgId = extFields.msgId!;
  return { msgId, queueOffset: extFields.queueOffset!, commitLogOffset: Number(`0x${msgId.slice(-16)}`) };
}

function end(bench: Bench, topic: string, group: string, at: Half, type: number, more: Record<string, string> = {}) {
  return bench.ask(37, {
    topic,
    producerGroup: group,
    tranStateTableOffset: at.queueOffset,
    commitLogOffset: at.commitLogOffset,
    commitOrRollback: type,
    fromTransactionCheck: false,
    msgId: '7F000001BBBB',
    transactionId: '7F000001BBBB',
    ...more,
  });
}

/** The place that a check names. */
const placeOf = ({ extFields }: Asked): Half => ({
  msgId: extFields.msgId ?? '',
  queueOffset: extFields.tranStateTableOffset!,
  commitLogOffset: Number(extFields.commitLogOffset),
});

/** Two rounds of the check, and some seconds of a busy machine. */
const TWO_ROUNDS_MS = 15_000;

export const transactions: Chapter = {
  title: 'Transactions',
  cases: [
    {
      behaviour: 'TransactionMQProducer commits 20 messages and rolls 10 back',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        const name = bench.unique('producer');
        await bench.java('transaction.start', { name, group });
        await bench.java('transaction.send', { name, topic, run: topic, state: 'commit', from: 0, count: 20 });
        await bench.java('transaction.send', { name, topic, run: topic, state: 'rollback', from: 20, count: 10 });
        await bench.java('transaction.stop', { name });
        const records = await bench.recordsUntil(topic, 20);
        await pause(1_000);
        const late = (await bench.records(topic)).length - records.length;
        const indexes = records.map(({ properties }) => Number(properties.index)).sort((a, b) => a - b);
        return `${indexes.length} messages, ${indexes[0]} to ${indexes.at(-1)}, ${late} more`;
      },
    },
    {
      behaviour: 'TransactionMQProducer does not know: asked, answers COMMIT or ROLLBACK',
      client: 'Java',
      async run(bench, { topic, other }) {
        const outcomes: string[] = [];
        await bench.routed(topic);
        for (const state of ['commit', 'rollback']) {
          const name = bench.unique('producer');
          const group = other(state);
          const run = other(state);
          await bench.java('transaction.start', { name, group });
          await bench.java('transaction.send', { name, topic, run, state: 'unknown', from: 0, count: 3 });
          await bench.java('transaction.answer', { name, state });
          await bench.until('checks', async () => {
            const { distinct } = await bench.java<{ distinct: number }>('transaction.checks', { name });
            return distinct === 3 ? true : undefined;
          });
          await pause(1_000);
          const found = (await bench.records(topic)).filter(({ properties }) => properties.run === run);
          await bench.java('transaction.stop', { name });
          outcomes.push(`${state}: ${found.length} messages`);
        }
        return outcomes.join(', ');
      },
    },
    {
      behaviour: 'what a committed message has',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const at = await half(bench, topic, group, { TAGS: 'TagA', KEYS: 'k1' });
        const answer = await end(bench, topic, group, at, COMMIT);
        const [record] = await bench.recordsUntil(topic, 1);
        const prepared =
          record!.preparedTransactionOffset === at.commitLogOffset ? 'its half’s offset' : 'another offset';
        return `${said(answer)}; sysFlag ${record!.sysFlag}; ${prepared}; ${shape(record!.properties)}`;
      },
    },
    {
      behaviour: 'a check names the half and carries it',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const member = await Member.join(bench, group);
        const at = await member.half(topic);
        const asked = await member.asked(topic);
        const [record] = bench.decode(asked.body);
        const fields = Object.keys(asked.extFields).sort().join(' ');
        await member.end(topic, placeOf(asked), ROLLBACK, { fromTransactionCheck: 'true' });
        member.session.close();
        const place = Number(asked.extFields.commitLogOffset) >= at.commitLogOffset;
        return `${fields}; ${place ? 'the half or a copy of it' : 'another place'}; for ${record!.topic}`;
      },
    },
    {
      behaviour: 'a group of two, one of them gone: the other one is asked',
      client: 'wire',
      edge: 'B.6',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const [gone, stays] = [await Member.join(bench, group), await Member.join(bench, group)];
        await gone.half(topic);
        gone.session.close();
        const asked = await stays.asked(topic);
        await stays.end(topic, placeOf(asked), COMMIT, { fromTransactionCheck: 'true' });
        const records = await bench.recordsUntil(topic, 1);
        stays.session.close();
        return `asked; ${records.length} message`;
      },
    },
    {
      behaviour: 'no producer for some rounds, then one again: asked, committed, delivered once',
      client: 'wire',
      edge: 'B.7',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        await half(bench, topic, group);
        await pause(TWO_ROUNDS_MS);
        const member = await Member.join(bench, group);
        const asked = await member.asked(topic);
        await member.end(topic, placeOf(asked), COMMIT, { fromTransactionCheck: 'true' });
        await bench.recordsUntil(topic, 1);
        await pause(TWO_ROUNDS_MS);
        const more = member.checks(topic).length - 1;
        member.session.close();
        return `${(await bench.records(topic)).length} message, ${more > 0 ? 'asked again' : 'not asked again'}`;
      },
    },
    {
      behaviour: 'CHECK_IMMUNITY_TIME_IN_SECONDS=15: not asked before',
      client: 'wire',
      edge: 'B.8',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const member = await Member.join(bench, group);
        const before = Date.now();
        await member.half(topic, { CHECK_IMMUNITY_TIME_IN_SECONDS: '15' });
        const asked = await member.asked(topic);
        const waited = Date.now() - before;
        await member.end(topic, placeOf(asked), ROLLBACK, { fromTransactionCheck: 'true' });
        member.session.close();
        return waited >= 15_000 ? 'asked, after it' : `asked after ${waited} ms`;
      },
    },
    {
      behaviour: 'a COMMIT with the half’s first offsets after it was asked about: one message, no more checks',
      client: 'wire',
      edge: 'B.9',
      differs: 'a commit with the offsets of an earlier copy of the half',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const member = await Member.join(bench, group);
        const at = await member.half(topic);
        await member.asked(topic);
        const answer = await member.end(topic, at, COMMIT);
        await bench.recordsUntil(topic, 1);
        const before = member.checks(topic).length;
        await pause(TWO_ROUNDS_MS);
        const later = member.checks(topic);
        const last = later.at(-1)!;
        if (later.length > before) await member.end(topic, placeOf(last), COMMIT, { fromTransactionCheck: 'true' });
        await pause(1_000);
        member.session.close();
        const again = later.length > before ? 'asked again' : 'not asked again';
        return `${said(answer)}; ${again}; ${(await bench.records(topic)).length} messages`;
      },
    },
    {
      behaviour: 'ROLLBACK after COMMIT: the message stays',
      client: 'wire',
      edge: 'B.9',
      differs: 'the same end twice',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const at = await half(bench, topic, group);
        const answers = [await end(bench, topic, group, at, COMMIT), await end(bench, topic, group, at, ROLLBACK)];
        await bench.recordsUntil(topic, 1);
        return `${answers.map(said).join(', ')}; ${(await bench.records(topic)).length} message`;
      },
    },
    {
      behaviour: 'COMMIT twice',
      client: 'wire',
      differs: 'the same end twice',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const at = await half(bench, topic, group);
        const answers = [await end(bench, topic, group, at, COMMIT), await end(bench, topic, group, at, COMMIT)];
        await bench.recordsUntil(topic, 1);
        await pause(500);
        return `${answers.map(said).join(', ')}; ${(await bench.records(topic)).length} messages`;
      },
    },
    {
      behaviour: 'a half with TIMER_DELIVER_MS',
      client: 'wire',
      edge: 'B.11',
      differs: 'a half with DELAY or TIMER_*',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const answer = await sendHalf(bench, topic, group, { TIMER_DELIVER_MS: String(Date.now() + 2_000) });
        return said(answer);
      },
    },
    {
      behaviour: 'an end by another group, at another offset, and of a message that is no half',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await bench.topic(topic);
        const at = await half(bench, topic, group);
        const plain = (await bench.put(other('t2'))).extFields;
        const noHalf = {
          msgId: plain.msgId!,
          queueOffset: plain.queueOffset!,
          commitLogOffset: Number(`0x${plain.msgId!.slice(-16)}`),
        };
        const answers = [
          await end(bench, topic, other('g2'), at, COMMIT),
          await end(bench, topic, group, { ...at, queueOffset: '99999999' }, COMMIT),
          await end(bench, topic, group, noHalf, COMMIT),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'asked transactionCheckMax times without an answer: given up, into TRANS_CHECK_MAX_TIME_TOPIC',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const member = await Member.join(bench, group);
        await member.half(topic);
        const given = await bench.until(
          'the half that was given up',
          async () => {
            const records = await bench.records('TRANS_CHECK_MAX_TIME_TOPIC');
            return records.find(({ properties }) => properties.REAL_TOPIC === topic);
          },
          120_000,
        );
        const checks = member.checks(topic).length;
        member.session.close();
        return `${checks} checks; TRANSACTION_CHECK_TIMES ${given.properties.TRANSACTION_CHECK_TIMES}`;
      },
    },
    restartCase({
      behaviour: 'committed a second before SIGKILL: one message, and no more checks',
      client: 'wire',
      edge: 'B.10',
      differs: 'a crash between the message of a commit and its marker',
      apacheEither: ['asked again; 2 messages', 'asked again; 1 message', 'not asked again; 1 message'],
      last: true,
      async before(bench, { topic, group }) {
        await bench.topic(topic);
        const at = await half(bench, topic, group);
        await end(bench, topic, group, at, COMMIT);
      },
      async after(bench, { topic, group }) {
        const member = await Member.join(bench, group);
        await pause(TWO_ROUNDS_MS + 5_000);
        const [asked] = member.checks(topic);
        if (asked) await member.end(topic, placeOf(asked), COMMIT, { fromTransactionCheck: 'true' });
        await pause(1_000);
        member.session.close();
        const records = await bench.records(topic);
        return `${asked ? 'asked again' : 'not asked again'}; ${records.length} ${records.length === 1 ? 'message' : 'messages'}`;
      },
    }),
    restartCase({
      behaviour: 'a half from before SIGKILL: asked about, committed, one message',
      client: 'wire',
      async before(bench, { topic, group }) {
        await bench.topic(topic);
        return half(bench, topic, group);
      },
      async after(bench, { topic, group }) {
        const member = await Member.join(bench, group);
        const asked = await member.asked(topic);
        await member.end(topic, placeOf(asked), COMMIT, { fromTransactionCheck: 'true' });
        const records = await bench.recordsUntil(topic, 1);
        member.session.close();
        return `asked; ${records.length} message`;
      },
    }),
  ],
};
