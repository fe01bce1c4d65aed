import { compressionType } from '@vernier/remoting';
import {
  BORNHOST_V6_FLAG,
  COMPRESSED_FLAG,
  COMPRESSION_TYPE_MASK,
  hasQueueEntry,
  INNER_BATCH_FLAG,
  NEED_UNWRAP_FLAG,
  propertyCrcOf,
  type RecordLayout,
  STOREHOSTADDRESS_V6_FLAG,
} from '@vernier/store/internal';
import type { Findings, NewFinding } from './finding.ts';
import type { LogReader } from './log-reader.ts';
import type { RecordFacts } from './record-facts.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

const SYS_FLAG_AT = 36;
const QUEUE_OFFSET_AT = 20;
const BORN_HOST_AT = 48;
/** Between the two addresses: the port of the first, and storeTimestamp. */
const PORT_AND_TIME_BYTES = 12;

const addressBytes = (sysFlag: number, v6Flag: number): number => ((sysFlag & v6Flag) === 0 ? 4 : 16);

/**
 * Fields of a sound record that no checksum covers and nothing else in the store repeats, held against each other: what a
 * broker never writes is a wrong byte. It costs a few comparisons a record.
 */
export class FieldCheck {
  readonly #layout: StoreLayout;
  readonly #log: LogReader;
  readonly #findings: Findings;

  constructor(layout: StoreLayout, log: LogReader, findings: Findings) {
    this.#layout = layout;
    this.#log = log;
    this.#findings = findings;
  }

  onRecord(view: Buffer, record: RecordLayout, facts: RecordFacts): void {
    if (facts.broken) {
      const at = record.propertiesAt - record.at;
      this.#fault(view, record, at, record.propertiesLength, 'UTF-8', 'other bytes', 'properties');
    }
    const { sysFlag } = record;
    // Prepared and rolled back records take no number (RocketMQ CommitLog).
    if (record.queueOffset !== 0 && !hasQueueEntry(sysFlag)) {
      this.#fault(view, record, QUEUE_OFFSET_AT, 8, '0', String(record.queueOffset), 'queueOffset', 'queueOffset');
    }
    this.#checkPorts(view, record);
    if ((sysFlag & (COMPRESSED_FLAG | COMPRESSION_TYPE_MASK | INNER_BATCH_FLAG | NEED_UNWRAP_FLAG)) === 0) return;
    // Only topics with batch queues take inner batches (RocketMQ HookUtils.checkInnerBatch).
    if ((sysFlag & INNER_BATCH_FLAG) !== 0 && facts.innerNum === '') {
      const found = `0x${sysFlag.toString(16)}`;
      this.#fault(view, record, SYS_FLAG_AT, 4, 'no inner batch without INNER_NUM', found, 'sysFlag');
      return;
    }
    const expected = sysFlagExpected(view, record);
    if (expected !== undefined) this.#noteSysFlag(record, expected);
  }

  /**
   * A port has 16 bits in a field of 32. RocketMQ's decoder gives nothing of a record with another one, and a client
   * nothing of what lies behind it in the same answer.
   */
  #checkPorts(view: Buffer, record: RecordLayout): void {
    const { at, sysFlag } = record;
    const born = BORN_HOST_AT + addressBytes(sysFlag, BORNHOST_V6_FLAG);
    const store = born + PORT_AND_TIME_BYTES + addressBytes(sysFlag, STOREHOSTADDRESS_V6_FLAG);
    for (const portAt of [born, store]) {
      const high = view.readUInt16BE(at + portAt);
      if (high === 0) continue;
      const name = portAt === born ? 'port of bornHost' : 'port of storeHost';
      this.#fault(view, record, portAt, 2, '0', String(high), name, 'port');
    }
  }

  /** A broker stores these bits as the producer sent them, whatever the body is (RocketMQ SendMessageProcessor). */
  #noteSysFlag(record: RecordLayout, expected: string): void {
    const { physicalOffset, sysFlag } = record;
    const file = this.#log.fileAt(physicalOffset)!;
    this.#findings.note({
      kind: 'log-field',
      file: shownPath(this.#layout.root, file.path),
      offset: physicalOffset - file.from + SYS_FLAG_AT,
      length: 4,
      expected,
      found: `0x${sysFlag.toString(16)}`,
      message: `the sysFlag of the record at ${physicalOffset} does not go with its body: so its producer sent it, or it was damaged`,
      logOffset: physicalOffset,
    });
  }

  #fault(
    view: Buffer,
    record: RecordLayout,
    at: number,
    length: number,
    expected: string,
    found: string,
    name: string,
    field?: 'queueOffset' | 'port',
  ): void {
    const { physicalOffset } = record;
    const file = this.#log.fileAt(physicalOffset)!;
    const finding: NewFinding = {
      kind: 'log-field',
      file: shownPath(this.#layout.root, file.path),
      offset: physicalOffset - file.from + at,
      length,
      expected,
      found,
      message: `the ${name} of the record at ${physicalOffset} ${name === 'properties' ? 'are' : 'is'} not what a broker writes`,
      logOffset: physicalOffset,
      ...(field === undefined ? {} : { field }),
    };
    // Under a checksum of the whole record these bytes are what the broker was given: a producer's doing, and no damage.
    if (propertyCrcOf(view, record.at, record.size) === undefined) this.#findings.fault(finding);
    else this.#findings.note(finding);
  }
}

/** What the bits on packing and unwrapping say of other bodies, in words; undefined when they go together with the rest. */
function sysFlagExpected(view: Buffer, record: RecordLayout): string | undefined {
  const { sysFlag } = record;
  if ((sysFlag & NEED_UNWRAP_FLAG) !== 0 && (sysFlag & INNER_BATCH_FLAG) === 0) return 'no unwrapping without a batch';
  if ((sysFlag & COMPRESSED_FLAG) === 0) {
    return (sysFlag & COMPRESSION_TYPE_MASK) === 0 ? undefined : 'no kind of packing without a packed body';
  }
  if ((sysFlag & COMPRESSION_TYPE_MASK) > 0x300) return 'a kind of packing from 0 to 3';
  if (record.bodyLength < 4) return undefined;
  const type = compressionType(sysFlag);
  return isPackedAs(type, view, record.bodyAt) ? undefined : `a body that begins as ${type}`;
}

/** The first bytes of what each packer makes. gRPC clients of 5.0 hand gzip in as what the record calls zlib. */
function isPackedAs(type: ReturnType<typeof compressionType>, view: Buffer, at: number): boolean {
  switch (type) {
    case 'lz4':
      return view.readUInt32BE(at) === 0x04224d18;
    case 'zstd':
      return view.readUInt32BE(at) === 0x28b52ffd;
    default: {
      const head = view.readUInt16BE(at);
      return head === 0x1f8b || ((head & 0x0f00) === 0x0800 && head % 31 === 0);
    }
  }
}
