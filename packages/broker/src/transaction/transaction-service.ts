import { MessageSysFlag, ResponseCode } from '@vernier/remoting';
import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { decodeMessage, RECORD_BYTES_MIN } from '@vernier/store/internal';
import { type Caller, CallerSession } from '../base/caller.ts';
import { type Identity, topicAccess } from '../base/identity.ts';
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { ProducerManager } from '../clients/producer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { MessageToPut } from '../put/message-to-put.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { Destinations } from '../topics/destinations.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { CommitSearch } from './commit-search.ts';
import { committedMessage, firstQueueOffsetOf, hasImmunity, immunityMsOf, resumedHalf } from './half.ts';
import { HalfQueue } from './half-queue.ts';
import { OpRecords } from './op-records.ts';
import type { Decision, OpenHalf, OpenHalves } from './open-halves.ts';
import { TransactionCheckService } from './transaction-check-service.ts';

/** How often, and after how many milliseconds, what was stored this moment is looked for in queues and index. */
const LOOKS_MAX = 20;
const LOOK_AGAIN_MS = 5;

/** What a producer says of a half (END_TRANSACTION). */
export interface EndOfTransaction {
  readonly producerGroup: string;
  /** Entry number of the half in its queue. */
  readonly queueOffset: number;
  /** Offset of the half in the log. */
  readonly logOffset: number;
  /** MessageSysFlag TRANSACTION_COMMIT or TRANSACTION_ROLLBACK; anything else says nothing. */
  readonly commitOrRollback: number;
  /** It answers a check. */
  readonly isFromCheck: boolean;
}

export interface TransactionServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly producers: ProducerManager;
  readonly offsets: ConsumerOffsetManager;
  readonly follow: FollowService;
  readonly destinations: Destinations;
  readonly put: PutService;
  readonly halves: OpenHalves;
  readonly stats: Pick<BrokerStats, 'meters'>;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** The broker's address: as records store it, as refusals name it, and the first part of message ids. */
  readonly hosts: { readonly storeHost: Caller['host']; readonly host: string; readonly messageIdPrefix: string };
}

/**
 * Transactions (RocketMQ EndTransactionProcessor, TransactionalMessageServiceImpl). A half lies in a topic that nobody
 * consumes until its producer commits it or rolls it back; who says nothing is asked.
 *
 * A commit is a sequence of steps: the message is put into its topic; a marker is put that names the half; the half is
 * passed by the offset of CID_RMQ_SYS_TRANS. A crash after the first step leaves a message and an open half: before such a
 * half is asked about, ended or given up after a start, its message is looked for (CommitSearch). In one life the table
 * of open halves knows. So a half is delivered once, whatever ends it how often.
 */
export class TransactionService {
  readonly #parts: TransactionServiceParts;
  readonly #queue: HalfQueue;
  readonly #ops: OpRecords;
  readonly #search: CommitSearch;
  readonly #checks: TransactionCheckService;
  readonly #self: Caller;
  #isStarted = false;
  #isStopped = false;

  constructor(parts: TransactionServiceParts) {
    const { config, store, put, halves, clock, logger, hosts, offsets, follow, topics, producers } = parts;
    this.#parts = parts;
    this.#self = new CallerSession(hosts.host, hosts.storeHost);
    this.#search = new CommitSearch(store);
    const superseded = (queueOffset: number): void => void this.#ops.add([queueOffset], false);
    this.#queue = new HalfQueue({ store, offsets, follow, halves, logger, superseded });
    const stored = (queueOffset: number, maxHalf: number): void => this.#queue.markerStored(queueOffset, maxHalf);
    this.#ops = new OpRecords({ config, store, put, caller: this.#self, clock, logger, stored });
    const { messageIdPrefix } = hosts;
    const shared = { config, store, topics, producers, put, halves, clock, logger, messageIdPrefix };
    this.#checks = new TransactionCheckService({
      ...shared,
      caller: this.#self,
      load: () => this.#queue.start(),
      loaded: this.#queue.loaded,
      exclusively: (open, act) => this.#exclusively(open, act),
      wasCommitted: (open, half) => this.#wasCommitted(open, half),
      ended: (open, decision) => this.#ended(open, decision),
      roundDone: () => this.#queue.saveOffsets(),
    });
    halves.onFirst = () => this.#checks.opened();
  }

  /** Transactions that are open, or whose end is not on disk yet. */
  get openCount(): number {
    return this.#parts.halves.count;
  }

  /** Open ones by the topic that they are for. */
  openByTopic(): ReadonlyMap<string, number> {
    return this.#parts.halves.byTopic;
  }

  /** Some half may be open. */
  get hasPending(): boolean {
    return this.openCount > 0 || this.#queue.seenTo < this.#parts.store.getMaxOffsetInQueue(TRANS_HALF_TOPIC, 0);
  }

  /** Checks that were given to a producer since the start. */
  get checksTotal(): number {
    return this.#checks.checksTotal;
  }

  start(): void {
    this.#isStarted = true;
    this.#ops.start();
    this.#checks.start();
  }

  /**
   * In front of the stop of the followers. Resolves when what ended is written down and the offsets are in their table.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#queue.stop();
    if (!this.#isStarted) return;
    // A round and the ends under way may wait for a record that a full disk does not take.
    this.#ops.tryOnce();
    await this.#checks.shutdown();
    // Ends that are under way; no new one begins.
    await Promise.all([...this.#parts.halves.all()].map(({ busy }) => busy));
    await this.#ops.shutdown();
    this.#queue.saveOffsets();
  }

  /**
   * Ends a transaction. Resolves with undefined when it is ended, as safely as flushDiskType says: under SYNC_FLUSH the
   * marker is on disk, or will be before the half could be asked about again; under ASYNC_FLUSH the message of a commit
   * is stored, and the marker follows within transactionOpBatchInterval.
   */
  async end(request: EndOfTransaction, caller: Caller): Promise<Refusal | undefined> {
    const { commitOrRollback } = request;
    const { identity } = caller;
    const isCommit = commitOrRollback === MessageSysFlag.TRANSACTION_COMMIT;
    if (!isCommit && commitOrRollback !== MessageSysFlag.TRANSACTION_ROLLBACK) return undefined;
    await this.#queue.loaded;
    if (this.#isStopped) return stopping();
    const half = await this.#halfAt(request.logOffset);
    // A flush that takes long was waited for: stop() does not know of this end.
    if (this.#isStopped) return stopping();
    if (half === undefined) return wrong('Find prepared transaction message failed');
    // The offset is anybody's, and what the request says of the topic is not the half's.
    const denied = identity?.refusalOf([topicAccess(half.properties.get('REAL_TOPIC') ?? '', ['Pub'])]);
    if (denied !== undefined) return denied;
    const open = this.#openOf(half);
    const fault = this.#faultOf(request, half, open?.firstStoredAt ?? half.storeTimestamp);
    if (fault !== undefined) return fault;
    if (open === undefined) return this.#endEnded(half, isCommit);
    return this.#exclusively(open, () => this.#endOpen(open, half, isCommit, caller));
  }

  /**
   * Takes up again a transaction that was given up (RESUME_CHECK_HALF_MESSAGE): its producer will be asked. `logOffset` is
   * that of its record in TRANS_CHECK_MAX_TIME_TOPIC.
   */
  async resume(logOffset: number, asker?: Identity): Promise<Refusal | undefined> {
    const record = logOffset < 0 ? undefined : await this.#parts.store.selectOneMessageByOffset(logOffset);
    const half = record && decodeMessage(record);
    if (half?.topic !== TRANS_CHECK_MAX_TIME_TOPIC) {
      return wrong(`there is no message of ${TRANS_CHECK_MAX_TIME_TOPIC} at ${logOffset}`);
    }
    const denied = asker?.refusalOf([topicAccess(half.properties.get('REAL_TOPIC') ?? '', ['Update'])]);
    if (denied !== undefined) return denied;
    const full = this.#parts.halves.fullReason();
    if (full !== undefined) return new Refusal(ResponseCode.SYSTEM_BUSY, `no more open transactions: ${full}`);
    const outcome = await this.#parts.put.put<PutOutcome>(resumedHalf(half), this.#self, 'half', (value) => value);
    return outcome instanceof Refusal ? outcome : undefined;
  }

  /** A half whose flush takes longer than its producer waits is not readable yet: then its flush is waited for. */
  async #halfAt(logOffset: number): Promise<MessageExt | undefined> {
    const { store } = this.#parts;
    let record = logOffset < 0 ? undefined : await store.selectOneMessageByOffset(logOffset);
    if (record === undefined && logOffset + RECORD_BYTES_MIN > store.flushedWhere && logOffset < store.maxPhyOffset) {
      await store.whenFlushed(store.maxPhyOffset).catch(() => {});
      if (!store.isClosed) record = await store.selectOneMessageByOffset(logOffset);
    }
    const half = record && decodeMessage(record);
    return half?.topic === TRANS_HALF_TOPIC && (await this.#isInQueue(half)) ? half : undefined;
  }

  /** The offset is anybody's: what stands there may be the body of a message, made to look like a half. */
  async #isInQueue({ queueOffset, commitLogOffset }: MessageExt): Promise<boolean> {
    const { store } = this.#parts;
    for (let look = 0; look < LOOKS_MAX && !this.#isStopped; look++) {
      const entry = (await store.queueEntries(TRANS_HALF_TOPIC, 0, queueOffset, 1))?.[0];
      if (entry !== undefined) return entry.commitLogOffset === commitLogOffset;
      if (queueOffset < store.getMaxOffsetInQueue(TRANS_HALF_TOPIC, 0)) return false;
      // Its entry follows at once.
      await this.#untilNextLook();
    }
    return false;
  }

  /** What is wrong with the request (RocketMQ checkPrepareMessage, rejectCommitOrRollback). */
  #faultOf(request: EndOfTransaction, half: MessageExt, firstStoredAt: number): Refusal | undefined {
    const { config, clock } = this.#parts;
    const immunityMs = Math.max(immunityMsOf(half) ?? 0, config.transactionTimeOut);
    if (!request.isFromCheck && hasImmunity(half) && clock.now() - firstStoredAt > immunityMs) {
      const remark = `the half is older than its immunity of ${immunityMs} ms: the producer will be asked`;
      return new Refusal(ResponseCode.ILLEGAL_OPERATION, remark);
    }
    if (half.properties.get('PGROUP') !== request.producerGroup) return wrong('The producer group wrong');
    if (half.queueOffset !== request.queueOffset) return wrong('The transaction state table offset wrong');
    return undefined;
  }

  /** The open transaction of a half; undefined when it has ended. A half that was not seen yet is opened here. */
  #openOf(half: MessageExt): OpenHalf | undefined {
    const { halves } = this.#parts;
    const first = firstQueueOffsetOf(half);
    const open = halves.get(first);
    if (open !== undefined || half.queueOffset < this.#queue.seenTo || first !== half.queueOffset) return open;
    return halves.isEndedUnseen(half.queueOffset) ? undefined : halves.open(half, first, half.storeTimestamp, false);
  }

  async #endOpen(open: OpenHalf, half: MessageExt, isCommit: boolean, caller: Caller): Promise<Refusal | undefined> {
    if (open.decision !== undefined) {
      // The first end may have been told that nobody knows whether it is on disk; then nobody does yet.
      const isSame = isCommit ? open.decision === 'committed' : open.decision === 'rolled back';
      return isSame ? open.outcome : this.#answerAgain(isCommit, open.decision === 'committed');
    }
    if (await this.#wasCommitted(open, half)) return this.#answerAgain(isCommit, true);
    const { meters } = this.#parts.stats;
    if (!isCommit) {
      meters?.countEvent('rollbacks', open.topic);
      return this.#ended(open, 'rolled back');
    }
    const message = committedMessage(half);
    if (message === undefined) return wrong('the half does not say where it is to go');
    const fault = this.#destinationFault(open, half, message);
    if (fault !== undefined) return fault;
    const outcome = await this.#parts.put.put<PutOutcome>(message, caller, 'transaction', (value) => value);
    if (outcome instanceof Refusal) return outcome;
    meters?.countCommit(message.topic, (this.#parts.clock.now() - half.bornTimestamp) / 1_000);
    return this.#ended(open, 'committed');
  }

  /** It has ended; its message, which was on disk before that, tells how. Nobody finds it while dispatch is held. */
  async #endEnded(half: MessageExt, isCommit: boolean): Promise<Refusal | undefined> {
    const { store } = this.#parts;
    // Under load the log is always ahead: what ended the half is in front of this.
    const { flushedWhere } = store;
    const isSearchable = await this.#whenDispatched(flushedWhere);
    const wasCommitted = await this.#search.isCommitted(half);
    if (!wasCommitted && !isSearchable) {
      const late = `queues and index are ${flushedWhere - store.dispatchedWhere} bytes behind the log`;
      return new Refusal(ResponseCode.SYSTEM_BUSY, `${late}: how the transaction ended is not known yet`);
    }
    return this.#answerAgain(isCommit, wasCommitted);
  }

  /** False: queues and index are not as far when the looks are over. */
  async #whenDispatched(logOffset: number): Promise<boolean> {
    const { store } = this.#parts;
    for (let look = 0; store.dispatchedWhere < logOffset; look++) {
      if (look >= LOOKS_MAX || this.#isStopped || store.isClosed) return false;
      await this.#untilNextLook();
    }
    return true;
  }

  #untilNextLook(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.setTimer(resolve, LOOK_AGAIN_MS));
  }

  /** Consumers are to read what is committed. A topic that was deleted since stays so; a copy of a half cannot say. */
  #destinationFault(open: OpenHalf, half: MessageExt, message: MessageToPut): Refusal | undefined {
    const { store, topics, destinations } = this.#parts;
    const isLost = open.first === half.queueOffset && half.commitLogOffset >= store.deletedBelow(message.topic);
    if (topics.select(message.topic) === undefined && !isLost) return undefined;
    try {
      destinations.ready(message.topic, message.queueId);
      return undefined;
    } catch (error) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, (error as Error).message);
    }
  }

  /** It ended before. The same end again is done already; another one is refused. */
  #answerAgain(isCommit: boolean, wasCommitted: boolean): Refusal | undefined {
    if (isCommit === wasCommitted) return undefined;
    return wrong(
      wasCommitted ? 'the transaction was committed before' : 'the transaction was ended before, not committed',
    );
  }

  /** True when a crash came between the message of a half and its marker; then the marker is written now. */
  async #wasCommitted(open: OpenHalf, half: MessageExt): Promise<boolean> {
    if (!open.isInherited) return false;
    if (!(await this.#search.isCommitted(half))) {
      open.isInherited = false;
      return false;
    }
    await this.#ended(open, 'committed');
    return true;
  }

  /** Resolves when the end is written down; for a commit under ASYNC_FLUSH at once, as its message is there to be found. */
  #ended(open: OpenHalf, decision: Decision): Promise<Refusal | undefined> {
    const { store, halves } = this.#parts;
    open.decision = decision;
    const waits = decision !== 'committed' || store.config.flushDiskType === 'SYNC_FLUSH';
    const queueOffsets = open.copy === undefined ? [open.queueOffset] : [open.queueOffset, open.copy];
    const marked = this.#ops.add(queueOffsets, decision === 'rolled back').then(async (outcome) => {
      if (outcome instanceof Refusal) return outcome;
      // In front of what a start has to see again stands only what is on disk.
      void store.whenFlushed(store.maxPhyOffset).then(
        () => halves.remove(open, this.#queue.seenTo),
        () => {},
      );
      if (outcome.code === ResponseCode.SUCCESS) return undefined;
      return new Refusal(outcome.code, outcome.remark ?? '');
    });
    open.outcome = waits ? marked : Promise.resolve(undefined);
    return open.outcome;
  }

  #exclusively<Value>(open: OpenHalf, act: () => Promise<Value>): Promise<Value> {
    const before = open.busy;
    const done = before === undefined ? act() : before.then(act);
    const settled = done.then(
      () => {},
      () => {},
    );
    open.busy = settled;
    void settled.then(() => {
      if (open.busy === settled) open.busy = undefined;
    });
    return done;
  }
}

const stopping = (): Refusal => new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, 'the broker stops');
const wrong = (remark: string): Refusal => new Refusal(ResponseCode.SYSTEM_ERROR, remark);
