/**
 * Loads of the kinds of messages beside plain ones, a process of its own: `kinds.ts JSON`, where JSON is a KindJob. Prints
 * one line of JSON, a KindResult, and exits with 1 when a message is missing or an answer is not what it must be.
 *
 * - `levels`, `timer`: messages with a delay level of a second, or a time of two seconds, until all stand in their topic.
 * - `transactions`: a half, then its commit, as many at once as connections and inFlight say.
 * - `pop`: pops of 32, each message acknowledged by itself, as RocketMQ's push consumer does.
 * - `sql`: pulls with an expression that half of the messages match.
 */
import {
  createRequest,
  type DecodedMessage,
  decodeRecords,
  type ExtFields,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
} from '@vernier/remoting';
import { cpuTimesMs, memory } from '../process-stats.ts';
import { LatencyHistogram } from './histogram.ts';
import type { KindJob, KindResult } from './kind-job.ts';
import { printResult } from './print-result.ts';
import { createTopic, pullFields, queueRange, sendFields } from './requests.ts';

const REQUEST_TIMEOUT_MS = 30_000;
/** Before a refused request is made again. */
const REFUSED_PAUSE_MS = 5;
const SYSTEM_BUSY = 2;
/** Response codes of a pull or pop that found nothing. */
const PULL_RETRY_IMMEDIATELY = 20;
const PULL_NOT_FOUND = 19;
const POLLING_TIMEOUT = 210;

const job = JSON.parse(process.argv[2] ?? '{}') as KindJob;
const address = `${job.host}:${job.port}`;
const clients = Array.from({ length: job.connections }, () => new RemotingClient());
const latency = new LatencyHistogram();
const body = Buffer.alloc(job.bodySize, 0x78);
const runId = `${process.pid.toString(16)}${Date.now().toString(16)}`;
let refused = 0;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Asks until the broker takes the request: of one that it was too busy for, nothing is stored. */
async function ask(connection: number, code: number, fields: ExtFields, content?: Buffer): Promise<RemotingCommand> {
  for (;;) {
    const began = performance.now();
    const answer = await clients[connection]!.invoke(address, createRequest(code, fields, content), REQUEST_TIMEOUT_MS);
    if (answer.code !== SYSTEM_BUSY) {
      latency.record((performance.now() - began) * 1000);
      return answer;
    }
    refused++;
    await sleep(REFUSED_PAUSE_MS);
  }
}

function expectSuccess(answer: RemotingCommand, what: string): void {
  if (answer.code !== 0) throw new Error(`${what}: code ${answer.code} ${answer.remark ?? ''}`);
}

/** Sends message number `index`. */
async function send(connection: number, index: number, properties: string, sysFlag = 0): Promise<RemotingCommand> {
  const key = `${runId}${index.toString(16).padStart(8, '0')}`;
  const text = `UNIQ_KEY\u0001${key}\u0002WAIT\u0001true\u0002${properties}`;
  const fields = sendFields(job.topic, index % job.queueCount, text, sysFlag);
  const answer = await ask(connection, RequestCode.SEND_MESSAGE_V2, fields, body);
  expectSuccess(answer, `message ${index}`);
  return answer;
}

/** Runs `one` for 0 to `count`, connections × inFlight at a time. */
async function forAll(count: number, one: (index: number, connection: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (connection: number): Promise<void> => {
    while (next < count) await one(next++, connection);
  };
  const workers = clients.flatMap((_, connection) => Array.from({ length: job.inFlight }, () => worker(connection)));
  await Promise.all(workers);
}

async function stored(): Promise<number> {
  let sum = 0;
  for (let queueId = 0; queueId < job.queueCount; queueId++) {
    const { min, max } = await queueRange(job, job.topic, queueId);
    sum += max - min;
  }
  return sum;
}

/** Waits until all messages stand in the topic; more than were sent are a fault. */
async function untilStored(count: number): Promise<void> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const found = await stored();
    if (found > count) throw new Error(`${found} messages in the topic, ${count} were sent`);
    if (found === count) return;
    if (performance.now() > deadline) throw new Error(`${found} of ${count} messages came within 180 s`);
    await sleep(20);
  }
}

async function delayed(properties: string): Promise<number> {
  await forAll(job.count, async (index, connection) => {
    await send(connection, index, properties);
  });
  await untilStored(job.count);
  return job.count;
}

async function transactions(): Promise<number> {
  const TRANSACTION_PREPARED = 4;
  const TRANSACTION_COMMIT = 8;
  await forAll(job.count, async (index, connection) => {
    const half = `TRAN_MSG\u0001true\u0002PGROUP\u0001bench_producer\u0002`;
    const { extFields = {} } = await send(connection, index, half, TRANSACTION_PREPARED);
    const { msgId = '', queueOffset = '', transactionId = '' } = extFields;
    const end = await ask(connection, RequestCode.END_TRANSACTION, {
      ...{ producerGroup: 'bench_producer', topic: job.topic, msgId, transactionId, fromTransactionCheck: 'false' },
      ...{ tranStateTableOffset: queueOffset, commitOrRollback: String(TRANSACTION_COMMIT) },
      // An id of an IPv4 broker: address, port, then the place in the log.
      commitLogOffset: String(BigInt(`0x${msgId.slice(16)}`)),
    });
    expectSuccess(end, `commit ${index}`);
  });
  await untilStored(job.count);
  return job.count;
}

/** Messages there before the measured time; half of them match the expression. */
async function fill(): Promise<void> {
  await forAll(job.count, async (index, connection) => {
    await send(connection, index, `amount\u0001${(index >> 3) % 10}\u0002`);
  });
}

/** Handles as a client makes them of the answer to a pop: where the batch of each queue began, and the broker's times. */
function handlesOf({ extFields = {} }: RemotingCommand, messages: readonly DecodedMessage[]): string[] {
  const starts = new Map<string, string>();
  for (const entry of (extFields.startOffsetInfo ?? '').split(';')) {
    const [mark, queueId, offset] = entry.split(' ');
    starts.set(`${mark} ${queueId}`, offset!);
  }
  return messages.map(({ queueId, queueOffset }) => {
    const start = starts.get(`0 ${queueId}`);
    if (start === undefined) throw new Error(`no start of queue ${queueId} in ${extFields.startOffsetInfo}`);
    const times = `${extFields.popTime} ${extFields.invisibleTime} ${extFields.reviveQid}`;
    return `${start} ${times} 0 ${job.brokerName} ${queueId} ${queueOffset}`;
  });
}

async function pops(): Promise<number> {
  let acknowledged = 0;
  const worker = async (connection: number): Promise<void> => {
    for (let empty = 0; empty < 20; ) {
      const answer = await ask(connection, RequestCode.POP_MESSAGE, {
        ...{ consumerGroup: 'bench_pop', topic: job.topic, queueId: '-1', maxMsgNums: '32', invisibleTime: '60000' },
        ...{ pollTime: '0', bornTime: String(Date.now()), initMode: '0', exp: '*', expType: 'TAG', order: 'false' },
      });
      if (answer.code === PULL_NOT_FOUND || answer.code === POLLING_TIMEOUT) {
        empty++;
        await sleep(1);
        continue;
      }
      expectSuccess(answer, 'pop');
      empty = 0;
      const messages = decodeRecords(answer.body ?? Buffer.alloc(0), false);
      await Promise.all(
        handlesOf(answer, messages).map(async (extraInfo, index) => {
          const { queueId, queueOffset } = messages[index]!;
          const ack = await ask(connection, RequestCode.ACK_MESSAGE, {
            ...{ consumerGroup: 'bench_pop', topic: job.topic, queueId: String(queueId), extraInfo },
            offset: String(queueOffset),
          });
          expectSuccess(ack, 'ack');
          acknowledged++;
        }),
      );
    }
  };
  await Promise.all(clients.map((_, connection) => worker(connection)));
  if (acknowledged !== job.count) throw new Error(`${acknowledged} messages acknowledged, ${job.count} were sent`);
  return acknowledged;
}

/** Each queue from its beginning to its end, as often as `rounds` says; the rate is of messages that were looked at. */
async function sqlPulls(rounds: number): Promise<number> {
  let matched = 0;
  const readQueue = async (queueId: number): Promise<void> => {
    const { min, max } = await queueRange(job, job.topic, queueId);
    for (let offset = min; offset < max; ) {
      const sql = { consumerGroup: 'bench_sql', subVersion: '1', subscription: 'amount BETWEEN 5 AND 9' };
      const fields = pullFields(job.topic, queueId, offset, { ...sql, expressionType: 'SQL92' });
      const answer = await ask(queueId % job.connections, RequestCode.PULL_MESSAGE, fields);
      if (answer.code !== PULL_RETRY_IMMEDIATELY) expectSuccess(answer, 'pull');
      if (answer.body) matched += decodeRecords(answer.body, false).length;
      offset = Number(answer.extFields?.nextBeginOffset);
    }
  };
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: job.queueCount }, (_, queueId) => readQueue(queueId)));
  }
  if (matched !== (job.count * rounds) / 2) throw new Error(`${matched} matched of ${rounds} × ${job.count}`);
  return job.count * rounds;
}

const SQL_ROUNDS = 4;

async function run(): Promise<KindResult> {
  await createTopic(job, job.topic, job.queueCount);
  if (job.kind === 'pop' || job.kind === 'sql') await fill();
  latency.reset();
  refused = 0;
  const before = cpuTimesMs(job.brokerPid);
  const ownBefore = process.cpuUsage();
  const began = performance.now();
  const count = await {
    levels: () => delayed('DELAY\u00011\u0002'),
    timer: () => delayed('TIMER_DELAY_MS\u00012000\u0002'),
    transactions,
    pop: pops,
    sql: () => sqlPulls(SQL_ROUNDS),
  }[job.kind]();
  const seconds = (performance.now() - began) / 1000;
  const after = cpuTimesMs(job.brokerPid);
  const own = process.cpuUsage(ownBefore);
  return {
    count,
    seconds,
    perSecond: count / seconds,
    brokerCpuUsPerMessage: ((after.user + after.system - before.user - before.system) * 1000) / count,
    loadCpuUsPerMessage: (own.user + own.system) / count,
    memory: memory(job.brokerPid),
    refused,
    latency: latency.summary(),
  };
}

await printResult(job.kind, run);
