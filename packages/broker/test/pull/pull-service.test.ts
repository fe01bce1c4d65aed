import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  decodeRecords,
  encodeFrame,
  FrameDecoder,
  PullSysFlag,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { StoreError, silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { CallerSession } from '../../src/base/caller.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { PullAsker, PullOutcome, PullRequest } from '../../src/pull/pull-request.ts';
import { pullFields, sendFields, startBroker, type TestBroker, withStore } from '../harness.ts';
import { caller, MachineBroker } from '../machine-broker.ts';

const MiB = 1024 * 1024;
const BODY = 4 * MiB - 1024;

/** A store that takes messages of 4 MiB. */
const largeMessages = { mappedFileSizeCommitLog: 64 * MiB, maxMessageSize: 4 * MiB };

class Consumer {
  readonly socket: Socket;
  readonly answers: RemotingCommand[] = [];
  isClosed = false;
  readonly #decoder = new FrameDecoder();
  #onAnswer: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.#onAnswer();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk);
      for (let answer = this.#decoder.next(); answer; answer = this.#decoder.next()) this.answers.push(answer);
      this.#onAnswer();
    });
  }

  static async connect(t: TestContext, { address }: TestBroker): Promise<Consumer> {
    const socket = connect({ host: '127.0.0.1', port: Number(address.split(':').at(-1)), noDelay: true });
    await once(socket, 'connect');
    cleanUp(t, () => socket.destroy());
    return new Consumer(socket);
  }

  send(...requests: RemotingCommand[]): void {
    this.socket.write(Buffer.concat(requests.map((request) => encodeFrame(request))));
  }

  /** Resolves when so many answers are there, or the connection is closed. */
  async until(count: number): Promise<void> {
    while (this.answers.length < count && !this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#onAnswer = resolve;
      });
    }
    assert.equal(this.isClosed, false, `closed after ${this.answers.length} answers`);
  }
}

const pull = (topic: string, queueId: number, more: Record<string, string> = {}): RemotingCommand =>
  createRequest(RequestCode.PULL_MESSAGE, {
    consumerGroup: 'readers',
    topic,
    queueId: String(queueId),
    queueOffset: '0',
    maxMsgNums: '32',
    sysFlag: String(PullSysFlag.SUBSCRIPTION | PullSysFlag.SUSPEND),
    commitOffset: '0',
    suspendTimeoutMillis: '60000',
    subscription: '*',
    subVersion: '0',
    ...more,
  });

async function makeTopic(broker: TestBroker, topic: string, queues: number): Promise<void> {
  const answer = await broker.invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    ...{ topic, defaultTopic: 'TBW102', perm: '6', topicFilterType: 'SINGLE_TAG', topicSysFlag: '0', order: 'false' },
    ...{ readQueueNums: String(queues), writeQueueNums: String(queues) },
  });
  assert.equal(answer.code, ResponseCode.SUCCESS, answer.remark);
}

async function sendLarge(broker: TestBroker, topic: string, queueId: number): Promise<void> {
  const body = Buffer.alloc(BODY, queueId + 1);
  const answer = await broker.invoke(RequestCode.SEND_MESSAGE_V2, sendFields(topic, queueId), body);
  assert.equal(answer.code, ResponseCode.SUCCESS, answer.remark);
}

test('a consumer of twenty queues with messages of 4 MB over one connection gets all of them', async (t) => {
  const queues = 20;
  const broker = await startBroker(t, { store: largeMessages });
  await makeTopic(broker, 'Large', queues);
  const consumer = await Consumer.connect(t, broker);
  const requests = Array.from({ length: queues }, (_, queueId) => pull('Large', queueId));
  consumer.send(...requests);
  while (broker.broker.context.holds.count < queues) await new Promise((resolve) => setImmediate(resolve));
  // It is busy with something else while all of them arrive, and reads then.
  consumer.socket.pause();
  for (let queueId = 0; queueId < queues; queueId++) await sendLarge(broker, 'Large', queueId);
  consumer.socket.resume();
  await consumer.until(queues);
  const found = new Set(requests.map(({ opaque }) => opaque));
  for (const { code, opaque, body } of consumer.answers) {
    assert.equal(code, ResponseCode.SUCCESS);
    const records = decodeRecords(body ?? Buffer.alloc(0));
    assert.deepEqual([records.length, records[0]?.body.length], [1, BODY]);
    assert.ok(found.delete(opaque), 'each pull is answered once');
  }
});

test('thousands of pulls that nobody reads the answers of cost a bounded amount of memory and hold up nobody', async (t) => {
  const broker = await startBroker(t, { store: largeMessages });
  await makeTopic(broker, 'Large', 1);
  await sendLarge(broker, 'Large', 0);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }, 5);
  cleanUp(t, () => clearInterval(watch));
  const attackers = await Promise.all(Array.from({ length: 8 }, () => Consumer.connect(t, broker)));
  for (const attacker of attackers) {
    attacker.socket.pause();
    attacker.send(...Array.from({ length: 2_000 }, () => pull('Large', 0, { maxMsgNums: String(2 ** 31 - 1) })));
  }
  // 16,000 pulls want 64 GB. Somebody else asks meanwhile, again and again.
  const honest = await Consumer.connect(t, broker);
  for (let round = 1; round <= 20; round++) {
    honest.send(pull('Large', 0));
    await honest.until(round);
  }
  assert.ok(honest.answers.every(({ code }) => code === ResponseCode.SUCCESS));
  assert.ok(most < 400 * MiB, `${Math.round(most / MiB)} MiB of buffers`);
  t.diagnostic(`${Math.round(most / MiB)} MiB of buffers at most`);
});

test('held pulls of one connection that all wake for one message are answered as their reader reads', async (t) => {
  const broker = await startBroker(t, { store: largeMessages });
  await makeTopic(broker, 'Large', 1);
  const consumer = await Consumer.connect(t, broker);
  const count = 60;
  consumer.send(...Array.from({ length: count }, () => pull('Large', 0)));
  while (broker.broker.context.holds.count < count) await new Promise((resolve) => setImmediate(resolve));
  const before = process.memoryUsage().arrayBuffers;
  consumer.socket.pause();
  await sendLarge(broker, 'Large', 0);
  await broker.invoke(RequestCode.GET_MAX_OFFSET, { topic: 'Large', queueId: '0' });
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 100 * MiB, `${Math.round(grown / MiB)} MiB for ${count} answers of 4 MiB that nobody reads`);
  consumer.socket.resume();
  await consumer.until(count);
  assert.ok(consumer.answers.every(({ code, body }) => code === ResponseCode.SUCCESS && (body?.length ?? 0) > BODY));
});

test('a consumer that goes away while its pulls wait for room leaves nothing behind and no line', async (t) => {
  const lines: string[] = [];
  const logger = {
    ...{ debug: () => {}, info: () => {} },
    warn: (_: object, message: string) => void lines.push(message),
    error: (_: object, message: string) => void lines.push(message),
  };
  const broker = await startBroker(t, { store: largeMessages, deps: { logger } });
  await makeTopic(broker, 'Large', 1);
  await sendLarge(broker, 'Large', 0);
  for (let round = 0; round < 3; round++) {
    const consumer = await Consumer.connect(t, broker);
    consumer.socket.pause();
    consumer.send(...Array.from({ length: 50 }, () => pull('Large', 0)));
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    consumer.socket.resetAndDestroy();
  }
  while (broker.broker.connectionCount > 1) await new Promise((resolve) => setImmediate(resolve));
  const honest = await Consumer.connect(t, broker);
  honest.send(pull('Large', 0));
  await honest.until(1);
  assert.deepEqual(lines, []);
});

test('held pulls that all fail for one cause are answered each, and are one line a second', async (t) => {
  const lines: object[] = [];
  const logger = { ...silentLogger, error: (fields: object) => lines.push(fields) };
  const clock = new ManualClock();
  const broker = await startBroker(t, {
    deps: {
      clock,
      logger,
      ...withStore((store) => {
        const real = store.getMessage.bind(store);
        store.getMessage = async (group, ...rest) => {
          if (lastRound) throw new StoreError('STORE_READ_FAILED', 'EIO');
          return real(group, ...rest);
        };
      }),
    },
  });
  let lastRound = false;
  const held = { sysFlag: '6', suspendTimeoutMillis: '60000' };
  const pulls = Array.from({ length: 100 }, () =>
    broker.invoke(RequestCode.PULL_MESSAGE, pullFields('BenchmarkTest', 0, held)),
  );
  while (broker.broker.context.holds.count < 100) await new Promise((resolve) => setImmediate(resolve));
  lastRound = true;
  await clock.advance(61_000);
  for (const answer of await Promise.all(pulls)) assert.equal(answer.code, ResponseCode.SYSTEM_ERROR);
  // Those who follow system topics cannot read either, and say so for themselves.
  assert.equal(lines.filter((fields) => !('follower' in fields)).length, 1);
});

/** A pull on a simulated machine, and what its asker is given. */
async function machinePulls() {
  const broker = await MachineBroker.start();
  const { context, machine } = broker;
  const request: PullRequest = {
    ...{ consumerGroup: 'g', topic: 'T', queueId: 0, queueOffset: 0, maxMsgNums: 32, maxMsgBytes: Number.NaN },
    ...{ hasSubscription: true, subscription: '*', expressionType: 'TAG', subVersion: 0, isLite: false },
    ...{ commits: false, commitOffset: 0, waits: false, suspendTimeoutMillis: 0 },
  };
  const log: string[] = [];
  const said = (outcome: PullOutcome): string =>
    outcome instanceof Refusal ? `${outcome.code} ${outcome.remark}` : `${outcome.status} ${outcome.nextBeginOffset}`;
  const asker: PullAsker<string> = {
    answer: said,
    send: (answer) => void log.push(answer),
    reserve: () => undefined,
    unreserve: () => {},
  };
  const pull = (more: Partial<PullRequest> = {}, by = caller) =>
    machine.until(Promise.resolve(context.pull.pull({ ...request, ...more }, by, asker)), 'pull');
  const session = () => new CallerSession('10.0.0.2:1', { address: Uint8Array.of(10, 0, 0, 2), port: 1 });
  return { broker, context, machine, pull, log, session };
}

test('a pull that learns of a reset does not undo it with what it has consumed before', async () => {
  const { broker, context, pull } = await machinePulls();
  for (const body of ['a', 'b', 'c', 'd']) await broker.send('T', body);
  const { offsets } = context;
  assert.equal(await pull({ queueOffset: 3, commits: true, commitOffset: 3 }), 'FOUND 4');
  assert.equal(offsets.query('g', 'T', 0), 3);
  offsets.assignResets('g', 'T', new Map([[0, 1]]));
  assert.equal(await pull({ queueOffset: 4, commits: true, commitOffset: 4 }), 'OFFSET_RESET 1');
  assert.equal(offsets.query('g', 'T', 0), 1, 'a group that starts anew begins where it was put');
  assert.equal(await pull({ queueOffset: 1, commits: true, commitOffset: 1 }), 'FOUND 4', 'it is told once');
  await broker.stop();
});

test('a pull without server-side resets takes none, and keeps it for when they are switched on', async () => {
  const { broker, context, pull } = await machinePulls();
  await broker.send('T', 'a');
  context.config.useServerSideResetOffset = false;
  context.offsets.assignResets('g', 'T', new Map([[0, 1]]));
  assert.equal(await pull(), 'FOUND 1');
  assert.equal(context.offsets.hasReset('g', 'T', 0), true);
  context.config.useServerSideResetOffset = true;
  assert.equal(await pull(), 'OFFSET_RESET 1');
  await broker.stop();
});

test('a pull of another queue, group or topic does not take a reset', async () => {
  const { broker, context, pull } = await machinePulls();
  for (const topic of ['T', 'U']) await broker.send(topic, 'a');
  context.offsets.assignResets('g', 'T', new Map([[0, 1]]));
  for (const other of [{ queueId: 1 }, { consumerGroup: 'h' }, { topic: 'U' }]) {
    assert.doesNotMatch((await pull(other)) ?? '', /OFFSET_RESET/);
  }
  assert.equal(await pull(), 'OFFSET_RESET 1');
  await broker.stop();
});

test('a commit below 0 that comes with a pull is none; the pull is answered', async () => {
  const { broker, context, pull } = await machinePulls();
  await broker.send('T', 'a');
  for (const commitOffset of [-1, Number.MIN_SAFE_INTEGER]) {
    assert.equal(await pull({ commits: true, commitOffset }), 'FOUND 1');
    assert.equal(context.offsets.offsetsOf('g', 'T').size, 0);
  }
  await pull({ commits: true, commitOffset: 0 });
  assert.deepEqual([...context.offsets.offsetsOf('g', 'T')], [[0, 0]]);
  await broker.stop();
});

test('a pull whose expression has waited is none when its caller has gone, and denied when its user may not any more', async () => {
  const { broker, machine, pull, session } = await machinePulls();
  await broker.send('T', 'a');
  const sql = (index: number) => ({
    expressionType: 'SQL92',
    subscription: `a IS NULL OR a = ${index}`.padEnd(16_384),
  });
  /** The answer to a pull that finds no budget; `meanwhile` happens while it waits. */
  const waits = async (index: number, by: CallerSession, meanwhile: () => void) => {
    await machine.advance(1_000);
    await pull(sql(index), by);
    const answer = pull(sql(index + 1), by);
    meanwhile();
    return answer;
  };
  const [gone, denied, other] = [session(), session(), session()];
  assert.equal(await waits(0, other, () => {}), 'FOUND 1');
  assert.equal(await waits(2, gone, () => gone.end()), undefined);
  let refusal: Refusal | undefined;
  const admits = { refusalOf: () => undefined, admit: () => undefined };
  denied.identity = { name: 'user', isSuper: false, ...admits, expired: () => refusal };
  const answer = await waits(4, denied, () => {
    denied.identity = undefined;
    refusal = new Refusal(ResponseCode.NO_PERMISSION, 'not any more');
  });
  assert.equal(answer, `${ResponseCode.NO_PERMISSION} not any more`);
  await broker.stop();
});

test('a refused pull commits nothing, holds nothing and counts nothing', async () => {
  const { broker, context, pull } = await machinePulls();
  await broker.send('T', 'a');
  context.groups.find('g');
  const wanted = { commits: true, commitOffset: 5, waits: true, suspendTimeoutMillis: 60_000 };
  const refused: Partial<PullRequest>[] = [
    { topic: 'None' },
    { topic: '__proto__' },
    { queueId: 4 },
    { queueId: -1 },
    { queueId: Number.MAX_SAFE_INTEGER },
    { consumerGroup: 'a b' },
    { consumerGroup: '' },
    { subscription: '||' },
    { expressionType: 'XPATH' },
    { hasSubscription: false },
  ];
  for (const more of refused) assert.match((await pull({ ...wanted, ...more })) ?? '', /^\d+ /, JSON.stringify(more));
  assert.deepEqual([...context.offsets.topicsByGroup()], []);
  assert.equal(context.offsets.queryPull('g', 'T', 0), -1);
  assert.equal(context.holds.count, 0);
  assert.deepEqual([context.stats.getFound.sum, context.stats.getMiss.sum], [0, 0]);
  assert.equal(context.groups.has('a b'), false);
  await broker.stop();
});

test('a held pull is answered once: by the message, not again when its time is up', async () => {
  const { broker, context, machine, pull, log } = await machinePulls();
  await broker.send('T', 'a');
  const waiting = { queueOffset: 1, waits: true, suspendTimeoutMillis: 5_000 };
  assert.equal(await pull(waiting), undefined);
  assert.equal(context.holds.count, 1);
  await broker.send('T', 'b');
  await machine.advance(10);
  assert.deepEqual(log, ['FOUND 2']);
  await machine.advance(10_000);
  assert.deepEqual(log, ['FOUND 2']);
  assert.equal(context.holds.count, 0);
  await broker.stop();
});

test('a held pull whose topic is deleted meanwhile is answered when its time is up, and is not found', async () => {
  const { broker, context, machine, pull, log } = await machinePulls();
  await broker.send('T', 'a');
  assert.equal(await pull({ queueOffset: 1, waits: true, suspendTimeoutMillis: 5_000 }), undefined);
  await machine.until(context.topicAdmin.delete('T'), 'deletion');
  await machine.advance(6_500);
  assert.equal(log.length, 1);
  assert.doesNotMatch(log[0]!, /FOUND \d/);
  assert.equal(context.holds.count, 0);
  await broker.stop();
});

test('a caller that is gone before its pull would be held is not held, and is answered nothing', async () => {
  const { broker, context, pull, log, session } = await machinePulls();
  await broker.send('T', 'a');
  const gone = session();
  gone.end();
  assert.equal(await pull({ queueOffset: 1, waits: true, suspendTimeoutMillis: 5_000 }, gone), undefined);
  assert.equal(context.holds.count, 0);
  assert.deepEqual(log, []);
  await broker.stop();
});

test('a caller that goes while its pull is held takes it along: the message that comes is answered to nobody', async () => {
  const { broker, context, machine, pull, log, session } = await machinePulls();
  await broker.send('T', 'a');
  const leaving = session();
  assert.equal(await pull({ queueOffset: 1, waits: true, suspendTimeoutMillis: 5_000 }, leaving), undefined);
  leaving.end();
  assert.equal(context.holds.count, 0);
  await broker.send('T', 'b');
  await machine.advance(6_000);
  assert.deepEqual(log, []);
  await broker.stop();
});
