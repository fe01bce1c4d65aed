/**
 * A lean load of the gRPC protocol, a process of its own: `grpc.ts JSON`, where JSON is a GrpcJob. It writes ready frames to
 * node:http2 and reads no more of an answer than its status. Prints one line of JSON, a GrpcResult, and exits with 1 when an
 * answer is not OK or a message is missing.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { type Fields, methods } from '../../interop/peers/grpc-raw.ts';
import { ask } from '../../interop/peers/remoting-ask.ts';
import { cpuMs, memory } from '../process-stats.ts';
import type { GrpcJob, GrpcResult } from './grpc-job.ts';
import { LatencyHistogram } from './histogram.ts';
import { printResult } from './print-result.ts';
import { createTopic } from './requests.ts';

const SERVICE = '/apache.rocketmq.v2.MessagingService/';
const BATCH = 32;
const GROUP = 'bench_grpc';
/** The frames of a window have room for a whole batch of messages. */
const WINDOW_BYTES = 16 * 1024 * 1024;

const job = JSON.parse(process.argv[2] ?? '{}') as GrpcJob;
const latency = new LatencyHistogram();

/** The five bytes before each message of gRPC: not compressed, and its length. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const encoded = (method: string, request: Fields): Buffer => framed(methods[method]!.requestSerialize(request));

class Connection {
  readonly #session: ClientHttp2Session;
  readonly #clientId: string;

  private constructor(session: ClientHttp2Session, clientId: string) {
    this.#session = session;
    this.#clientId = clientId;
  }

  static async open(clientId: string): Promise<Connection> {
    const { host, port } = job.proxy;
    const session = connect(`http://${host}:${port}`, { settings: { initialWindowSize: WINDOW_BYTES } });
    await new Promise<void>((resolve, reject) => {
      session.once('error', reject);
      session.once('connect', () => {
        session.setLocalWindowSize(WINDOW_BYTES);
        resolve();
      });
    });
    return new Connection(session, clientId);
  }

  stream(method: string): ClientHttp2Stream {
    return this.#session.request({
      ...{ ':method': 'POST', ':path': SERVICE + method, 'content-type': 'application/grpc', te: 'trailers' },
      ...{ 'x-mq-client-id': this.#clientId, 'x-mq-language': 'JAVA', 'x-mq-client-version': '5.0.8' },
      ...{ 'x-mq-protocol': 'v2', 'grpc-timeout': '30S' },
    });
  }

  /** Resolves with the messages of the answer. */
  call(method: string, frame: Buffer): Promise<Fields[]> {
    return new Promise((resolve, reject) => {
      const stream = this.stream(method);
      const chunks: Buffer[] = [];
      let status: unknown;
      stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
      stream.on('trailers', (trailers) => {
        status = trailers['grpc-status'];
      });
      stream.on('error', reject);
      stream.on('end', () => {
        if (status !== undefined && status !== '0') reject(new Error(`${method}: grpc-status ${status}`));
        else resolve(unframed(method, Buffer.concat(chunks)));
      });
      stream.end(frame);
    });
  }

  /** Says what the client is, which it has to before it receives; the stream stays open. */
  async settle(): Promise<void> {
    const stream = this.stream('Telemetry');
    const subscriptions = [{ topic: { name: job.topic }, expression: { type: 'TAG', expression: '*' } }];
    const settings = { clientType: 'SIMPLE_CONSUMER', subscription: { group: { name: GROUP }, subscriptions } };
    stream.write(encoded('Telemetry', { settings }));
    await new Promise((resolve, reject) => {
      stream.once('data', resolve);
      stream.once('error', reject);
    });
  }

  close(): void {
    this.#session.destroy();
  }
}

function unframed(method: string, bytes: Buffer): Fields[] {
  const answers: Fields[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    answers.push(methods[method]!.responseDeserialize(bytes.subarray(at + 5, end)) as Fields);
    at = end;
  }
  return answers;
}

function expectOk(answer: Fields | undefined, what: string): void {
  const status = answer?.status as { code: string; message: string } | undefined;
  if (status?.code !== 'OK') throw new Error(`${what}: ${status?.code ?? 'no answer'} ${status?.message ?? ''}`);
}

/** One ready SendMessage; its message id is patched in place, which keeps its length. */
class SendFrame {
  static readonly #PLACEHOLDER = '00000000';
  readonly #bytes: Buffer;
  readonly #idAt: number;

  constructor(worker: number) {
    const prefix = `01${process.pid.toString(16).toUpperCase().padStart(12, '0')}${worker.toString(16).padStart(4, '0')}`;
    const systemProperties = {
      ...{ tag: 'TagA', messageId: prefix + SendFrame.#PLACEHOLDER, messageType: 'NORMAL', bodyEncoding: 'IDENTITY' },
      ...{ bornTimestamp: { seconds: Math.floor(Date.now() / 1_000), nanos: 0 }, bornHost: 'bench' },
    };
    const body = Buffer.alloc(job.bodySize, 0x78);
    this.#bytes = encoded('SendMessage', { messages: [{ topic: { name: job.topic }, systemProperties, body }] });
    this.#idAt = this.#bytes.indexOf(prefix) + prefix.length;
  }

  /** A copy: what is written before may still be on its way. */
  next(number: number): Buffer {
    const bytes = Buffer.from(this.#bytes);
    bytes.write(number.toString(16).padStart(8, '0'), this.#idAt, 'latin1');
    return bytes;
  }
}

/** Runs `one` on each of connections × inFlight workers. */
async function byWorkers(connections: Connection[], one: (connection: Connection, worker: number) => Promise<void>) {
  const workers = connections.flatMap((connection, index) =>
    Array.from({ length: job.inFlight }, (_, slot) => one(connection, index * job.inFlight + slot)),
  );
  await Promise.all(workers);
}

async function send(connections: Connection[], count: number): Promise<number> {
  let next = 0;
  await byWorkers(connections, async (connection, worker) => {
    const frame = new SendFrame(worker);
    for (let number = next++; number < count; number = next++) {
      const began = performance.now();
      const [answer] = await connection.call('SendMessage', frame.next(number));
      expectOk(answer, `message ${number}`);
      latency.record((performance.now() - began) * 1_000);
    }
  });
  return count;
}

/** The group begins at the first message, where a new one would begin at the last. */
async function beginAtFirst(): Promise<void> {
  const address = `${job.broker.host}:${job.broker.port}`;
  const asked = async (code: number, fields: Record<string, string>, body?: Buffer): Promise<void> => {
    const answer = await ask(address, code, fields, body, 30_000);
    if (answer.code !== 0) throw new Error(`request ${code}: code ${answer.code} ${answer.remark ?? ''}`);
  };
  await asked(200, {}, Buffer.from(JSON.stringify({ groupName: GROUP, consumeEnable: true, retryMaxTimes: 16 })));
  for (let queueId = 0; queueId < job.queueCount; queueId++) {
    await asked(15, { consumerGroup: GROUP, topic: job.topic, queueId: String(queueId), commitOffset: '0' });
  }
}

async function receive(connections: Connection[]): Promise<number> {
  const request = encoded('ReceiveMessage', {
    ...{ group: { name: GROUP }, messageQueue: { topic: { name: job.topic }, id: -1, broker: { name: 'broker-a' } } },
    ...{ filterExpression: { type: 'TAG', expression: '*' }, batchSize: BATCH },
    ...{ invisibleDuration: { seconds: 120, nanos: 0 }, longPollingTimeout: { seconds: 5, nanos: 0 } },
  });
  let done = 0;
  await byWorkers(connections, async (connection) => {
    while (done < job.count) {
      const answers = await connection.call('ReceiveMessage', request);
      const messages = answers.filter(({ content }) => content === 'message').map(({ message }) => message as Fields);
      await Promise.all(
        messages.map(async ({ systemProperties }) => {
          const { messageId, receiptHandle } = systemProperties as Fields;
          const entries = [{ messageId, receiptHandle }];
          const began = performance.now();
          const frame = encoded('AckMessage', { group: { name: GROUP }, topic: { name: job.topic }, entries });
          const [answer] = await connection.call('AckMessage', frame);
          expectOk(answer, 'acknowledgement');
          latency.record((performance.now() - began) * 1_000);
          done += 1;
        }),
      );
    }
  });
  return done;
}

async function run(): Promise<GrpcResult> {
  if (job.kind === 'send') await createTopic(job.broker, job.topic, job.queueCount);
  else await beginAtFirst();
  const connections: Connection[] = [];
  for (let index = 0; index < job.connections; index++) {
    const connection = await Connection.open(`bench-${process.pid}-${index}`);
    if (job.kind === 'receive') await connection.settle();
    connections.push(connection);
  }
  if (job.kind === 'send' && job.warmup > 0) await send(connections, job.warmup);
  latency.reset();
  const before = cpuMs(job.brokerPid);
  const ownBefore = process.cpuUsage();
  const began = performance.now();
  const count = job.kind === 'send' ? await send(connections, job.count) : await receive(connections);
  const seconds = (performance.now() - began) / 1_000;
  const brokerCpuMs = cpuMs(job.brokerPid) - before;
  const own = process.cpuUsage(ownBefore);
  for (const connection of connections) connection.close();
  return {
    ...{ count, seconds, perSecond: count / seconds },
    brokerCpuUsPerMessage: (brokerCpuMs * 1_000) / count,
    loadCpuUsPerMessage: (own.user + own.system) / count,
    ...{ memory: memory(job.brokerPid), latency: latency.summary() },
  };
}

await printResult(job.kind, run);
