// A process that appends and consumes until it is killed: `writer.ts JSON`, where JSON is a WriterJob. Prints "recovering"
// when recovery begins to read, "ready" when the store is open, "acknowledged" with the first PUT_OK and "refused" with
// the first other status; everything that was promised or seen goes to the witness log at once.
import { MessageStore, type MessageStoreOptions, type PutMessageResult } from '@vernier/store';
import { BLOCK_SIZE, bodyOf, keyOf, planOf, type RunShape, sequenceOf } from './messages.ts';
import { type Mutation, mutatedFileSystem } from './mutations.ts';
import { Kind, WitnessLog } from './witness-log.ts';

export interface WriterJob {
  store: MessageStoreOptions;
  shape: RunShape;
  witnessLog: string;
  /** A multiple of BLOCK_SIZE; no earlier writer of this run used this number or a higher one. */
  firstSequence: number;
  /** Blocks under way at the same time. */
  concurrency: number;
  mutation?: Mutation;
  /** Go on after a refused append, to see that later ones are refused too; otherwise the first refusal ends the writer. */
  toleratesRefusals?: boolean;
}

const job = JSON.parse(process.argv[2]!) as WriterJob;
const { shape } = job;
// The parent may die in any way; its end of the pipe then closes.
process.stdin.on('end', () => process.exit(3)).resume();

const witness = new WitnessLog(job.witnessLog);
let recovering = false;
const store = await MessageStore.open(job.store, {
  ...(job.mutation === undefined ? {} : { fileSystem: mutatedFileSystem(job.mutation) }),
  onRecoveryProgress: () => {
    if (!recovering) process.stdout.write('recovering\n');
    recovering = true;
  },
});
const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
let nextSequence = job.firstSequence;
let committed = -1;
let refusals = 0;
let acknowledged = false;

function messageOf(sequence: number) {
  const properties = `KEYS\u0001${keyOf(sequence)}\u0002UNIQ_KEY\u0001unique-${sequence}\u0002`;
  const wait = planOf(shape, sequence).durability === 'no-wait' ? 'WAIT\u0001false\u0002' : '';
  return { flag: 0, body: bodyOf(shape, sequence), propertiesString: properties + wait };
}

async function put(sequence: number, isBatch: boolean): Promise<PutMessageResult> {
  const failedBefore = store.failure !== undefined;
  const result = await append(sequence, isBatch);
  if (failedBefore && result.status === 'PUT_OK') {
    process.stderr.write(`message ${sequence} was sent after the store had failed and was acknowledged\n`);
    process.exit(5);
  }
  return result;
}

function append(sequence: number, isBatch: boolean): Promise<PutMessageResult> {
  const { topicIndex, queueId, durability } = planOf(shape, sequence);
  const common = {
    topic: shape.topics[topicIndex]!,
    queueId,
    sysFlag: 0,
    bornTimestamp: Date.now(),
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
  };
  const wanted = durability === 'default' || durability === 'no-wait' ? undefined : durability;
  if (!isBatch) return store.asyncPutMessage({ ...common, ...messageOf(sequence) }, wanted);
  const messages = Array.from({ length: BLOCK_SIZE }, (_, index) => messageOf(sequence + index));
  return store.asyncPutMessages({ ...common, messages }, wanted);
}

function acknowledge(sequence: number, count: number, result: PutMessageResult): boolean {
  if (result.status !== 'PUT_OK') {
    refusals += 1;
    if (refusals === 1) process.stdout.write('refused\n');
    if (refusals <= 3) process.stderr.write(`refused: ${result.status} ${result.reason ?? ''}\n`);
    witness.add({ kind: Kind.refused, topicIndex: 0, queueId: 0, sequence, queueOffset: 0, offset: 0, bytes: 0 });
    if (!job.toleratesRefusals) process.exit(4);
    return false;
  }
  if (!acknowledged) process.stdout.write('acknowledged\n');
  acknowledged = true;
  const { topicIndex, queueId, durability } = planOf(shape, sequence);
  const syncFlush = job.store.flushDiskType !== 'ASYNC_FLUSH';
  const onDisk = durability === 'sync' || durability === 'group' || (durability === 'default' && syncFlush);
  // Bytes are known of a batch as a whole, so all of it counts as one piece behind its first record's offset.
  const end = result.wroteOffset + result.wroteBytes;
  for (let index = 0; index < count; index++) {
    const offset = result.batchOffsets?.[index] ?? result.wroteOffset;
    witness.add({
      kind: onDisk ? Kind.ackedOnDisk : Kind.ackedWritten,
      topicIndex,
      queueId,
      sequence: sequence + index,
      queueOffset: result.queueOffset + index,
      offset,
      bytes: end - offset,
    });
  }
  if (store.committedWhere !== committed) {
    committed = store.committedWhere;
    witness.add({
      kind: Kind.committed,
      topicIndex: 0,
      queueId: 0,
      sequence: 0,
      queueOffset: 0,
      offset: committed,
      bytes: 0,
    });
  }
  return true;
}

async function produce(): Promise<void> {
  for (;;) {
    const first = nextSequence;
    nextSequence += BLOCK_SIZE;
    if (planOf(shape, first).isBatch) {
      acknowledge(first, BLOCK_SIZE, await put(first, true));
    } else {
      for (let sequence = first; sequence < first + BLOCK_SIZE; sequence++) {
        acknowledge(sequence, 1, await put(sequence, false));
      }
    }
    // Refusals resolve without any disk call; without a pause they would keep the event loop to themselves.
    if (refusals > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Reads one queue from its beginning and follows it. What the last writer's recovery kept is thereby seen again. */
async function consume(topicIndex: number, queueId: number): Promise<void> {
  const topic = shape.topics[topicIndex]!;
  let offset = 0;
  for (;;) {
    const result = await store.getMessage('crash', topic, queueId, offset, 32);
    if (result.status === 'FOUND') {
      for (const record of result.records) {
        const sequence = sequenceOf(shape, bodyOfRecord(record));
        if (typeof sequence === 'string') throw new Error(`consumer: ${topic} ${queueId} ${offset}: ${sequence}`);
        const at = Number(record.readBigInt64BE(28));
        witness.add({
          kind: Kind.seen,
          topicIndex,
          queueId,
          sequence,
          queueOffset: offset,
          offset: at,
          bytes: record.length,
        });
        offset += 1;
      }
    } else {
      await arrival(topic, queueId, offset);
    }
  }
}

/** IPv4 hosts, as `host` above is one: the body's length stands at 84. */
function bodyOfRecord(record: Buffer): Buffer {
  return record.subarray(88, 88 + record.readInt32BE(84));
}

const waiting = new Map<string, () => void>();

function arrival(topic: string, queueId: number, offset: number): Promise<void> {
  return new Promise((resolve) => {
    waiting.set(`${topic}/${queueId}`, resolve);
    if (store.getMaxOffsetInQueue(topic, queueId) > offset) resolve();
  });
}

store.on('arrived', ({ topic, queueId }) => waiting.get(`${topic}/${queueId}`)?.());

process.stdout.write('ready\n');
for (let topicIndex = 0; topicIndex < shape.topics.length; topicIndex++) {
  for (let queueId = 0; queueId < shape.queueCount; queueId++) void consume(topicIndex, queueId);
}
for (let index = 0; index < job.concurrency; index++) void produce();
