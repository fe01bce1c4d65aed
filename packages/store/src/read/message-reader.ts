import type { StoreContext } from '../base/context.ts';
import type { GetMessageResult, GetMessageStatus, MessageFilter } from '../base/types.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { ConsumeQueue } from '../queue/consume-queue.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';
import { ExtTagsCodes } from '../queue/ext-tags-codes.ts';
import { isExtAddress } from '../queue/ext-unit.ts';
import { CQ_STORE_UNIT_SIZE, isFillerUnit, unitPhyOffset, unitSize, unitTagsCode } from '../queue/unit.ts';
import { innerCountOf } from '../record/dispatch-request.ts';
import { RECORD_BYTES_MIN } from '../record/message-decoder.ts';
import { isLmq } from '../record/multi-dispatch.ts';
import { dispatchRequestOfRecord } from '../record/record-dispatch.ts';
import { isTombstone } from '../record/tombstone.ts';
import { recordsOfLmq } from './lmq-records.ts';
import { type Allocate, type LogReader, ReadRecords, type RecordList } from './log-reader.ts';
import type { RecordLookup } from './record-lookup.ts';
import { UnitReadAhead } from './unit-read-ahead.ts';

/** RocketMQ maxFilterMessageSize in entries: what one call looks at, when the filter drops many. */
const FILTER_ENTRIES = 16_000 / CQ_STORE_UNIT_SIZE;

/** Who has to have room for what a call reads. */
export interface RoomForRecords {
  /**
   * Called once, when it is known how many bytes the records have: nothing is allocated or read for them before what it
   * gives back resolves. Undefined: at once. What it rejects with, the call rejects with.
   */
  reserve(bytes: number): Promise<void> | undefined;
}

export interface GetMessageOptions {
  maxBytes?: number;
  filter?: MessageFilter;
  /** Where the result's buffer comes from; by default each result has a fresh one. */
  allocate?: Allocate;
  /** Says when there is room for the records; by default there always is. */
  room?: RoomForRecords;
}

/** Reads messages of one queue (RocketMQ DefaultMessageStore.getMessage). */
export class MessageReader {
  readonly #context: StoreContext;
  readonly #log: MappedFileQueue;
  readonly #reader: LogReader;
  readonly #queues: ConsumeQueueStore;
  readonly #lookup: Pick<RecordLookup, 'confirmsSize'>;
  readonly #units = new UnitReadAhead();
  /** Bytes from the end of the log that count as being in memory. */
  readonly #totalMemoryBytes: number;
  /** Entries that point to no record there could be. */
  damagedEntryCount = 0;
  timesTotal = 0;
  countTotal = 0;
  sizeTotal = 0;
  foundTotal = 0;

  constructor(
    context: StoreContext,
    log: MappedFileQueue,
    reader: LogReader,
    queues: ConsumeQueueStore,
    lookup: Pick<RecordLookup, 'confirmsSize'>,
    totalMemoryBytes: number,
  ) {
    this.#context = context;
    this.#log = log;
    this.#reader = reader;
    this.#queues = queues;
    this.#lookup = lookup;
    this.#totalMemoryBytes = totalMemoryBytes;
  }

  async getMessage(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    options: GetMessageOptions,
  ): Promise<GetMessageResult> {
    this.timesTotal++;
    const queue = this.#queues.find(topic, queueId);
    if (!queue) return nothing('NO_MATCHED_LOGIC_QUEUE', 0, 0, 0);
    const minOffset = queue.minOffsetInQueue;
    const maxOffset = queue.maxOffsetInQueue;
    if (maxOffset === 0) return nothing('NO_MESSAGE_IN_QUEUE', 0, minOffset, maxOffset);
    if (offset < minOffset) return nothing('OFFSET_TOO_SMALL', minOffset, minOffset, maxOffset);
    if (offset === maxOffset) return nothing('OFFSET_OVERFLOW_ONE', offset, minOffset, maxOffset);
    if (offset > maxOffset) return nothing('OFFSET_OVERFLOW_BADLY', maxOffset, minOffset, maxOffset);

    // Without a filter nothing is dropped, and no more entries than messages are looked at.
    // In a batch queue the first entry may be that in front of the message.
    const wanted = options.filter ? Math.max(FILTER_ENTRIES, maxMsgNums) : maxMsgNums + (queue.isBatch ? 1 : 0);
    const found = queue.entryOf(offset);
    const first = typeof found === 'number' ? found : await found;
    const count = Math.min(wanted, this.#entriesMax(), queue.endEntry - first);
    const units = this.#units.peek(queue, first, count) ?? (await this.#units.read(queue, first, count));
    if (units.length === 0) {
      // The files under the offset were deleted since the bounds were read: go on with what is there now.
      return nothing('OFFSET_FOUND_NULL', Math.max(offset, queue.minOffsetInQueue), minOffset, maxOffset);
    }
    return this.#collect(queue, units, { offset, first }, maxMsgNums, options);
  }

  /** Entries that a call has a use for, whatever it asks for: it gives no more messages than the transfer limits. */
  #entriesMax(): number {
    const { maxTransferCountOnMessageInMemory, maxTransferCountOnMessageInDisk } = this.#context.config;
    return Math.max(FILTER_ENTRIES, maxTransferCountOnMessageInMemory, maxTransferCountOnMessageInDisk);
  }

  async #collect(
    queue: ConsumeQueue,
    units: Buffer,
    { offset, first }: { offset: number; first: number },
    maxMsgNums: number,
    options: GetMessageOptions,
  ): Promise<GetMessageResult> {
    const { filter } = options;
    const { config } = this.#context;
    const maxPhyOffset = this.#log.maxOffset;
    const minPhyOffset = this.#log.minOffset;
    const memoryBytes = (this.#totalMemoryBytes * config.accessMessageInMemoryMaxRatio) / 100;
    const maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    const inMemory = {
      bytes: Math.min(maxBytes, config.maxTransferBytesOnMessageInMemory),
      count: Math.min(maxMsgNums, config.maxTransferCountOnMessageInMemory),
    };
    const onDisk = {
      bytes: Math.min(maxBytes, config.maxTransferBytesOnMessageInDisk),
      count: Math.min(maxMsgNums, config.maxTransferCountOnMessageInDisk),
    };
    const list: RecordList = { offsets: [], sizes: [], count: 0, totalSize: 0 };
    const queueOffsets: number[] = [];
    // Entries of light queues point to records of other topics.
    const isOfLmq = isLmq(queue.topic);
    if (!queue.isBatch && !isOfLmq) {
      list.queue = { topic: Buffer.from(queue.topic), queueId: queue.queueId, queueOffsets };
    }
    let status: GetMessageStatus = 'NO_MATCHED_MESSAGE';
    let nextBeginOffset = offset;
    let fromDisk = false;
    let extensions: ExtTagsCodes | undefined;
    // Of some entry nothing but its record says what tags it has.
    let isAnyUnknown = false;

    const { unitBytes, units: format } = queue;
    let messageCount = 0;
    /** The entry before the place where the next call begins is of a record that is given. */
    let isLastTaken = false;
    /** Of a batch queue, by offset in the log: the numbers that the entry says and its neighbours bear out; else undefined. */
    const sureNumbers = new Map<number, Numbers | undefined>();
    for (let at = 0, entry = first; at < units.length; at += unitBytes, entry++) {
      const queueOffset = format.numberOf(units, at, entry);
      const messages = format.countOf(units, at);
      const phyOffset = unitPhyOffset(units, at);
      const size = unitSize(units, at);
      const next = queue.isBatch ? endOfBatch(queue, units, at, nextBeginOffset) : queueOffset + messages;
      if (isFillerUnit(units, at)) {
        nextBeginOffset = next;
        continue;
      }
      if (phyOffset < minPhyOffset) {
        status = list.count === 0 ? 'MESSAGE_WAS_REMOVING' : status;
        nextBeginOffset = next;
        continue;
      }
      // Nothing may be allocated, or looked for, on the word of a damaged entry.
      const isPossible =
        size >= RECORD_BYTES_MIN && phyOffset + size <= maxPhyOffset && this.#fitsFile(phyOffset, size);
      const confirmed = isPossible ? this.#lookup.confirmsSize(phyOffset, size) : undefined;
      if (!isPossible || (confirmed !== undefined && !(await confirmed))) {
        this.#leaveOut(queue, queueOffset, phyOffset, size);
        nextBeginOffset = next;
        continue;
      }
      fromDisk = maxPhyOffset - phyOffset > memoryBytes;
      // The first match is returned whatever its size, or a large message could never be consumed.
      if (messageCount > 0) {
        const most = fromDisk ? onDisk : inMemory;
        if (messageCount + messages > most.count || list.totalSize + size > most.bytes) break;
      }
      nextBeginOffset = next;
      isLastTaken = false;
      if (filter) {
        const tagsCode = unitTagsCode(units, at);
        if (!isExtAddress(tagsCode)) {
          if (!filter.isMatchedByConsumeQueue(tagsCode)) continue;
        } else {
          extensions ??= new ExtTagsCodes(this.#context, queue.topic, queue.queueId);
          const extended = await extensions.of(units, at);
          if (extended === undefined) isAnyUnknown = true;
          else if (!filter.isMatchedByConsumeQueue(extended)) continue;
        }
      }
      if (queue.isBatch) sureNumbers.set(phyOffset, sureNumbersOf(queue, units, at));
      list.offsets.push(phyOffset);
      list.sizes.push(size);
      queueOffsets.push(queueOffset);
      isLastTaken = true;
      list.count++;
      // The first one of a batch queue that does not hold what is asked for is looked at because its entry may be wrong.
      const isAsked = queueOffset <= offset ? next > offset : entry !== first;
      if (!queue.isBatch || isAsked) messageCount += messages;
      list.totalSize += size;
    }

    if (list.count > 0 && options.room !== undefined) {
      const room = options.room.reserve(list.totalSize);
      if (room !== undefined) await room;
    }
    let read = list.count > 0 ? await this.#reader.readRecords(list, options.allocate) : NO_RECORDS;
    if (isOfLmq && read.count > 0) read = recordsOfLmq(read, queue.topic, queueOffsets);
    if (queue.isBatch && read.count > 0) {
      const found = this.#ownRecords(queue, read, offset, sureNumbers);
      read = found.read;
      messageCount = found.messageCount;
      nextBeginOffset = found.end > 0 && isLastTaken && found.isLastOwn ? found.end : nextBeginOffset;
    }
    // Whatever a wrong entry says, the next call begins farther on.
    if (queue.isBatch) nextBeginOffset = Math.max(nextBeginOffset, Math.min(offset + 1, queue.maxOffsetInQueue));
    const given = queue.isBatch ? read.count : list.count;
    if (filter && (isAnyUnknown || filter.isMatchedByCommitLog)) {
      const matched = read.records.filter(
        (record) =>
          (!isAnyUnknown || filter.isMatchedByConsumeQueue(tagsCodeOfRecord(record))) &&
          (filter.isMatchedByCommitLog?.(record) ?? true),
      );
      const sizes = matched.map((record) => record.length);
      read = new ReadRecords(Buffer.concat(matched), sizes);
    }
    if (read.count > 0) {
      status = 'FOUND';
      this.foundTotal++;
      // Some may have been left out, and how many messages they held only the others tell.
      if (read.count !== given) messageCount = queue.isBatch ? messagesOf(read.records) : read.count;
      this.countTotal += messageCount;
      this.sizeTotal += read.buffer.length;
    }
    const { minOffsetInQueue: minOffset, maxOffsetInQueue: maxOffset } = queue;
    if (read.count === 0) messageCount = 0;
    return new ReadResult(read, { messageCount, status, nextBeginOffset, minOffset, maxOffset, fromDisk });
  }

  /**
   * Of what the entries of a batch queue led to, the records that are the queue's and end behind `offset`, and the number
   * behind the last of their messages. Where an entry and its neighbours do not agree, the record says its number.
   */
  #ownRecords(
    queue: ConsumeQueue,
    read: ReadRecords,
    offset: number,
    sureNumbers: ReadonlyMap<number, Numbers | undefined>,
  ): OwnRecords {
    let end = -1;
    let isLastOwn = false;
    let messageCount = 0;
    const records = read.records.filter((record) => {
      const request = dispatchRequestOfRecord(record);
      const sure = sureNumbers.get(request?.commitLogOffset ?? -1);
      const isOwn =
        request?.topic === queue.topic &&
        request.queueId === queue.queueId &&
        (sure?.base ?? request.consumeQueueOffset) === request.consumeQueueOffset;
      isLastOwn = isOwn;
      if (!isOwn) {
        this.#leaveOut(queue, sure?.base ?? offset, request?.commitLogOffset ?? -1, record.length);
        return false;
      }
      end = sure?.end ?? request.consumeQueueOffset + innerCountOf(request);
      if (end <= offset || isTombstone(record, 0, record.length)) return false;
      messageCount += innerCountOf(request);
      return true;
    });
    if (records.length === read.count) return { read, end, isLastOwn, messageCount };
    const sizes = records.map((record) => record.length);
    return { read: new ReadRecords(Buffer.concat(records), sizes), end, isLastOwn, messageCount };
  }

  /** A record lies in one file. */
  #fitsFile(phyOffset: number, size: number): boolean {
    const fileSize = this.#log.mappedFileSize;
    return (phyOffset % fileSize) + size <= fileSize;
  }

  #leaveOut(queue: ConsumeQueue, queueOffset: number, phyOffset: number, size: number): void {
    this.damagedEntryCount++;
    const { topic, queueId } = queue;
    this.#context.logger.error(
      { topic, queueId, queueOffset, phyOffset, size, damagedEntryCount: this.damagedEntryCount },
      `damaged entry in a consume queue, left out: ${topic} queue ${queueId} offset ${queueOffset}`,
    );
  }
}

/** As the queue has it of a record whose entry says nothing. */
function tagsCodeOfRecord(record: Buffer): number {
  return dispatchRequestOfRecord(record)?.tagsCode ?? 0;
}

/**
 * Number behind the messages of a batch queue's entry; `least`: behind those in front of it. Its own numbers and those of
 * the next entry agree, or one of the two is wrong: then the smaller number leads past nothing.
 */
function endOfBatch(queue: ConsumeQueue, units: Buffer, at: number, least: number): number {
  const { units: format, unitBytes } = queue;
  const behind = at + unitBytes;
  const end = format.numberOf(units, at, 0) + format.countOf(units, at);
  const next = behind < units.length ? format.numberOf(units, behind, 0) : queue.maxOffsetInQueue;
  return Math.max(least, Math.min(end, next));
}

/** Numbers of an entry of a batch queue: of its first message, and behind the last where that is sure too. */
interface Numbers {
  base: number;
  end: number | undefined;
}

/** Those of this entry when they go on from those in front of it, or up to those behind it; else undefined. */
function sureNumbersOf(queue: ConsumeQueue, units: Buffer, at: number): Numbers | undefined {
  const { units: format, unitBytes } = queue;
  const base = format.numberOf(units, at, 0);
  const end = base + format.countOf(units, at);
  const behind = at + unitBytes;
  const before = at - unitBytes;
  const next = behind < units.length ? format.numberOf(units, behind, 0) : queue.maxOffsetInQueue;
  const goesOn = before >= 0 && format.numberOf(units, before, 0) + format.countOf(units, before) === base;
  if (next === end) return { base, end };
  return goesOn ? { base, end: undefined } : undefined;
}

interface OwnRecords {
  read: ReadRecords;
  /** Behind the last message; the last record read was the queue's. */
  end: number;
  isLastOwn: boolean;
  messageCount: number;
}

const messagesOf = (records: readonly Buffer[]): number =>
  records.reduce((sum, record) => sum + innerCountOf(dispatchRequestOfRecord(record) ?? {}), 0);

const NO_RECORDS = new ReadRecords(Buffer.alloc(0), []);

function nothing(
  status: GetMessageStatus,
  nextBeginOffset: number,
  minOffset: number,
  maxOffset: number,
): GetMessageResult {
  return new ReadResult(NO_RECORDS, {
    messageCount: 0,
    status,
    nextBeginOffset,
    minOffset,
    maxOffset,
    fromDisk: false,
  });
}

type Found = Pick<
  GetMessageResult,
  'messageCount' | 'status' | 'nextBeginOffset' | 'minOffset' | 'maxOffset' | 'fromDisk'
>;

/** A class, because an object with an accessor of its own is slow to make. */
class ReadResult implements GetMessageResult {
  readonly status: GetMessageStatus;
  readonly nextBeginOffset: number;
  readonly minOffset: number;
  readonly maxOffset: number;
  readonly fromDisk: boolean;
  readonly buffer: Buffer;
  readonly messageCount: number;
  readonly bufferTotalSize: number;
  readonly #read: ReadRecords;

  constructor(read: ReadRecords, found: Found) {
    this.#read = read;
    this.status = found.status;
    this.nextBeginOffset = found.nextBeginOffset;
    this.minOffset = found.minOffset;
    this.maxOffset = found.maxOffset;
    this.fromDisk = found.fromDisk;
    this.buffer = read.buffer;
    this.messageCount = found.messageCount;
    this.bufferTotalSize = read.buffer.length;
  }

  get records(): Buffer[] {
    return this.#read.records;
  }
}
