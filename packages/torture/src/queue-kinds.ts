import { type MessageStore, type MessageStoreOptions, StoreError } from '@vernier/store';
import { encodeProperties, LMQ_PREFIX, PROPERTY_INNER_MULTI_DISPATCH } from '@vernier/store/internal';
import { type Front, type FrontOfHistory, Refused } from './front.ts';
import { innerBatch } from './inner-batches.ts';
import { LightQueues } from './light-queues.ts';
import { Random } from './random.ts';
import type { SimulatedFileSystem } from './simulation/simulated-file-system.ts';

const ROOT = '/data/store';
/** Its queues have entries of 46 bytes, and a batch sent to it is one record. */
const BATCH_TOPIC = 'Batches';
const ENTRY_BYTES = 46;
const LIGHT_QUEUES = ['a', 'b', '$parent$child', 'long'.repeat(40)].map((name) => LMQ_PREFIX + name);
/** Share of the messages that are to be in light queues, too. */
const LIGHT_RATE = 0.4;

/**
 * Producers call the store. Some of their messages are in light queues besides their own, and batches to one topic are
 * stored as inner batches. After each crash every queue of either kind has what the records say.
 */
export class QueueKinds implements FrontOfHistory {
  readonly topics = ['A', BATCH_TOPIC, 'B'];
  readonly choosesDurability = true;
  readonly hasMetadata = false;
  readonly ownTopics: ReadonlySet<string> = new Set(LIGHT_QUEUES);
  /** Its probes know queues of twenty bytes an entry that hold records of their own topic. */
  readonly isProbed = false;
  readonly settings: Partial<MessageStoreOptions>;
  readonly #random: Random;
  readonly #light = new LightQueues(LIGHT_QUEUES);

  constructor(seed: number) {
    this.#random = new Random(seed);
    const mapperFileSizeBatchConsumeQueue = ENTRY_BYTES * this.#random.integer(3, 40);
    this.settings = { enableLmq: true, enableMultiDispatch: true, mapperFileSizeBatchConsumeQueue };
  }

  begin(): void {}

  /** topics.json says which topics have batch queues; it is on disk before the first life. */
  async prepare(fileSystem: SimulatedFileSystem): Promise<void> {
    await fileSystem.makeDirectory(`${ROOT}/config`);
    const file = await fileSystem.open(`${ROOT}/config/topics.json`, 'create');
    const attributes = { 'queue.type': 'BatchCQ' };
    await file.write(Buffer.from(JSON.stringify({ topicConfigTable: { [BATCH_TOPIC]: { attributes } } })), 0);
    await file.sync();
    await file.close();
    for (const path of [`${ROOT}/config`, ROOT, '/data', '/']) await fileSystem.syncDirectory(path);
  }

  async open(store: MessageStore): Promise<Front> {
    const random = this.#random.fork();
    const light = this.#light;
    return {
      put: (message, durability) =>
        store.asyncPutMessage({ ...message, ...withLightQueues(message, random) }, durability),
      putBatch: (batch, durability) =>
        batch.topic === BATCH_TOPIC
          ? store.asyncPutMessage(innerBatch(batch), durability)
          : store.asyncPutMessages(batch, durability),
      deleteTopic: (topic, onBegun) => {
        // It would be an ordinary one until the next start, which reads topics.json.
        if (topic === BATCH_TOPIC) return Promise.reject(new Refused('the topic of inner batches stays'));
        onBegun();
        return store.deleteTopic(topic);
      },
      operate: async (random) => {
        const name = random.pick(LIGHT_QUEUES);
        const answered = light.deletionBegun(name, store.maxPhyOffset);
        try {
          await store.deleteTopic(name);
          answered();
        } catch (error) {
          // A disk that does not take it says so; then it may hold after the next start, or not.
          if (!(error instanceof StoreError)) throw error;
        }
      },
      consumed: () => {},
      close: () => Promise.resolve(),
      check: (messages) => Promise.resolve(light.check(messages, store)),
    };
  }

  ended(): void {}
}

function withLightQueues({ propertiesString }: { propertiesString: string }, random: Random) {
  if (!random.chance(LIGHT_RATE)) return {};
  const names = LIGHT_QUEUES.filter(() => random.chance(0.5));
  if (names.length === 0) return {};
  return { propertiesString: propertiesString + encodeProperties([[PROPERTY_INNER_MULTI_DISPATCH, names.join(',')]]) };
}
