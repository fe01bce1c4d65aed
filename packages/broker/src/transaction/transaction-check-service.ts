import { offsetHex, Perm } from '@vernier/remoting';
import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { checkMessageAndReturnSize, decodeMessage, ServiceLoop } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { topicAccess } from '../base/identity.ts';
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { Client } from '../clients/client.ts';
import type { ProducerManager } from '../clients/producer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { copyOfHalf, givenUpHalf, recordInTopic, wholeNumberOf } from './half.ts';
import type { Decision, OpenHalf, OpenHalves } from './open-halves.ts';

const HOUR_MS = 3_600_000;
/** Halves that are looked at together, and the bytes of their records. */
const AT_ONCE = 64;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
/**
 * A half whose producer cannot be asked is copied when it is as old, so that the next start finds the open ones near the
 * end of their queue, and the log's oldest file may expire.
 */
const COPY_AFTER_MS = 10 * 60_000;
/** When nothing is open any more: both offsets have followed then, and no timer runs until the next half comes. */
const ROUNDS_AFTER = 2;
/** After a start that could not read the queues. */
const RETRY_MS = 1_000;

export interface TransactionCheckParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly producers: ProducerManager;
  readonly put: PutService;
  readonly halves: OpenHalves;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly messageIdPrefix: string;
  /** The broker itself. */
  readonly caller: Caller;
  load(): Promise<void>;
  readonly loaded: Promise<void>;
  exclusively<Value>(open: OpenHalf, act: () => Promise<Value>): Promise<Value>;
  wasCommitted(open: OpenHalf, half: MessageExt): Promise<boolean>;
  ended(open: OpenHalf, decision: Decision): Promise<Refusal | undefined>;
  roundDone(): void;
}

/**
 * Asks producers what is to become of halves that nobody ended (RocketMQ TransactionalMessageCheckService): a round each
 * transactionCheckInterval over the table of open ones, with one timer for all. A check counts when it was written to a
 * producer, and only then; the half is then put again with the new count. After transactionCheckMax checks, or when it is
 * older than fileReservedTime, a half goes to TRANS_CHECK_MAX_TIME_TOPIC, from where an operator can take it up again.
 */
export class TransactionCheckService extends ServiceLoop {
  readonly #parts: TransactionCheckParts;
  #checksTotal = 0;
  /** Rounds to come although nothing is open. */
  #roundsLeft = 0;

  constructor(parts: TransactionCheckParts) {
    super(parts.clock);
    this.#parts = parts;
  }

  get checksTotal(): number {
    return this.#checksTotal;
  }

  protected override async run(): Promise<void> {
    const { config, loaded, logger, roundDone, store, halves } = this.#parts;
    const startedAt = this.clock.monotonic();
    await this.#load();
    while (!this.stopped) {
      if (halves.count === 0 && this.#roundsLeft === 0) {
        await this.waitForRunning();
        continue;
      }
      const interval = config.transactionCheckInterval;
      // At multiples of the interval since the start, whenever the first half came.
      const roundAt = startedAt + Math.ceil((this.clock.monotonic() - startedAt + 1) / interval) * interval;
      await this.#waitUntil(roundAt);
      if (this.stopped) return;
      await loaded;
      try {
        await this.#round();
        roundDone();
      } catch (error) {
        if (this.stopped || store.isClosed) return;
        logger.error({ err: error }, `a round over the open transactions failed: ${String(error)}`);
      }
      this.#roundsLeft = halves.count > 0 ? ROUNDS_AFTER : Math.max(0, this.#roundsLeft - 1);
    }
  }

  /** A half was opened. */
  opened(): void {
    this.#roundsLeft = ROUNDS_AFTER;
    this.wakeup();
  }

  async #waitUntil(at: number): Promise<void> {
    for (let left = at - this.clock.monotonic(); left > 0 && !this.stopped; left = at - this.clock.monotonic()) {
      await this.waitForRunning(left);
    }
  }

  protected override onDied(error: unknown): void {
    this.#parts.logger.error({ err: error }, `transactions are not checked any more: ${String(error)}`);
  }

  async #load(): Promise<void> {
    const { load, logger, store } = this.#parts;
    while (!this.stopped) {
      try {
        await load();
        return;
      } catch (error) {
        if (this.stopped || store.isClosed) return;
        logger.error({ err: error }, `the open transactions cannot be read: ${String(error)}; again in ${RETRY_MS} ms`);
        await this.waitForRunning(RETRY_MS);
      }
    }
  }

  async #round(): Promise<void> {
    const { halves } = this.#parts;
    let batch: OpenHalf[] = [];
    let bytes = 0;
    for (const open of [...halves.all()]) {
      if (this.stopped) return;
      if (!this.#isDue(open)) continue;
      batch.push(open);
      bytes += open.bytes;
      if (batch.length < AT_ONCE && bytes < BYTES_AT_ONCE) continue;
      await this.#visitAll(batch);
      batch = [];
      bytes = 0;
    }
    await this.#visitAll(batch);
  }

  async #visitAll(batch: readonly OpenHalf[]): Promise<void> {
    const { exclusively, logger } = this.#parts;
    const visits = batch.map((open) => exclusively(open, () => this.#visit(open)));
    for (const visit of await Promise.allSettled(visits)) {
      // The others are not kept waiting by one whose record cannot be read.
      if (visit.status === 'rejected') logger.error({ err: visit.reason }, `a check failed: ${String(visit.reason)}`);
    }
  }

  /** Anything is to be done with it in this round. The clock may have been set back: then it is young. */
  #isDue(open: OpenHalf): boolean {
    if (open.decision !== undefined || open.copy !== undefined) return false;
    return open.isInherited || !this.#isImmune(open) || this.#isToBeGivenUp(open) || this.#isFarBack(open);
  }

  #isImmune({ firstStoredAt, immunityMs }: OpenHalf): boolean {
    return this.clock.now() - firstStoredAt < (immunityMs ?? this.#parts.config.transactionTimeOut);
  }

  #isToBeGivenUp({ checks, firstStoredAt }: OpenHalf): boolean {
    const { config, store } = this.#parts;
    const ageMs = this.clock.now() - firstStoredAt;
    return checks >= config.transactionCheckMax || ageMs > store.config.fileReservedTime * HOUR_MS;
  }

  #isFarBack({ storedAt }: OpenHalf): boolean {
    return this.clock.now() - storedAt >= COPY_AFTER_MS;
  }

  async #visit(open: OpenHalf): Promise<void> {
    const { store, wasCommitted, logger, ended } = this.#parts;
    // It may have ended while this waited for its turn.
    if (!this.#isDue(open) || this.stopped) return;
    const record = await store.selectOneMessageByOffset(open.logOffset);
    const half = record && decodeMessage(record);
    if (record === undefined || half === undefined) {
      // Not on disk yet, or gone with its file.
      if (open.logOffset >= store.minPhyOffset) return;
      logger.error({ queueOffset: open.queueOffset }, 'an open transaction is gone: its file of the log was removed');
      await ended(open, 'given up');
      return;
    }
    if (await wasCommitted(open, half)) return;
    if (this.#isToBeGivenUp(open)) return this.#giveUp(open, half);
    if (this.#isImmune(open)) {
      if (this.#isFarBack(open)) await this.#copy(open, half);
      return;
    }
    if (this.#ask(open, half, record)) {
      this.#checksTotal++;
      open.checks++;
      await this.#copy(open, half);
    } else if (this.#isFarBack(open)) {
      await this.#copy(open, half);
    }
  }

  /** One producer of the group, another one each time; the next one when it cannot be written to. */
  #ask(open: OpenHalf, half: MessageExt, record: Buffer): boolean {
    const { producers, config, messageIdPrefix } = this.#parts;
    const group = half.properties.get('PGROUP');
    const topic = half.properties.get('REAL_TOPIC');
    const layout = checkMessageAndReturnSize(record, 0);
    if (group === undefined || topic === undefined || layout.kind !== 'record') return false;
    const check = {
      queueOffset: open.queueOffset,
      logOffset: open.logOffset,
      offsetMessageId: messageIdPrefix + offsetHex(open.logOffset),
      uniqKey: half.properties.get('UNIQ_KEY'),
      topic: TRANS_HALF_TOPIC,
      brokerName: config.brokerName,
      record: recordInTopic(record, layout, topic, wholeNumberOf(half.properties.get('REAL_QID')) ?? 0),
    };
    // Anybody may call himself a producer of the group, and the question has the message in it.
    const mayKnow = ({ identity }: Client): boolean =>
      (identity?.expired() ?? identity?.refusalOf([topicAccess(topic, ['Pub'])])) === undefined;
    return producers.inTurn(group).some((client) => mayKnow(client) && client.checkTransactionState(check));
  }

  async #copy(open: OpenHalf, half: MessageExt): Promise<void> {
    const { put, caller, logger } = this.#parts;
    const copy = copyOfHalf(half, open.first, open.checks);
    const outcome = await put.put<PutOutcome>(copy, caller, 'half', (value) => value);
    if (!(outcome instanceof Refusal))
      open.copy = this.#isSeen(open, outcome.queueOffset) ? undefined : outcome.queueOffset;
    else {
      const numbers = { queueOffset: open.queueOffset, checks: open.checks };
      logger.error(numbers, `the count of a transaction's checks is not written: ${outcome.remark}`);
    }
  }

  /** The follower was faster than the answer. */
  #isSeen({ queueOffset }: OpenHalf, copy: number): boolean {
    return queueOffset >= copy;
  }

  async #giveUp(open: OpenHalf, half: MessageExt): Promise<void> {
    const { put, topics, caller, logger, ended } = this.#parts;
    const { topicName } = topics.createInSendMessageBack(TRANS_CHECK_MAX_TIME_TOPIC, 1, Perm.READ | Perm.WRITE, 0);
    const outcome = await put.put<PutOutcome>(givenUpHalf(half, topicName), caller, 'half', (value) => value);
    const numbers = { queueOffset: open.queueOffset, checks: open.checks, topic: half.properties.get('REAL_TOPIC') };
    if (outcome instanceof Refusal) {
      logger.error(numbers, `a transaction that nobody ended stays open: ${outcome.remark}`);
      return;
    }
    logger.warn(numbers, `a transaction that nobody ended is given up: it lies in ${topicName}`);
    await ended(open, 'given up');
  }
}
