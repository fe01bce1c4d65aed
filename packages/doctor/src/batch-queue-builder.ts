import { BATCH_UNIT_SIZE, batchUnits, type DispatchRequest, innerCountOf } from '@vernier/store/internal';
import { QueueFileWriter } from './queue-file-writer.ts';

/** Entries gathered before they are written. */
const GATHERED_UNITS = 1_024;

/** Makes the files of one batch queue anew, in a directory of their own. */
export class BatchQueueBuilder {
  readonly topic: string;
  readonly queueId: number;
  readonly directory: string;
  readonly #fileSize: number;
  #gathered: Buffer = Buffer.alloc(GATHERED_UNITS * BATCH_UNIT_SIZE);
  #count = 0;
  /** Bytes of entries in files. */
  #written = 0;
  /** Number behind the last message. */
  #next = -1;
  /** A record with number 0 behind others. */
  #held: DispatchRequest | undefined;
  readonly #files: QueueFileWriter;

  constructor(topic: string, queueId: number, directory: string, fileSize: number) {
    this.topic = topic;
    this.queueId = queueId;
    this.directory = directory;
    this.#fileSize = fileSize;
    this.#files = new QueueFileWriter(directory, fileSize);
  }

  /** Number behind the last message, -1 without an entry. */
  get end(): number {
    return this.#next;
  }

  /** Adds the entry of a record. One whose number was taken repeats; where numbers start again, the later life counts. */
  async add(request: DispatchRequest): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined && request.consumeQueueOffset === innerCountOf(held)) await this.#restart(held);
    if (request.consumeQueueOffset === 0 && this.#next > 0) this.#held = request;
    else if (request.consumeQueueOffset >= this.#next) await this.#put(request);
  }

  /** Resolves when everything is on disk. */
  async finish(): Promise<void> {
    if (this.#held !== undefined) await this.#restart(this.#held);
    await this.#write();
    await this.#files.sync();
  }

  async #put(request: DispatchRequest): Promise<void> {
    batchUnits.write(this.#gathered, this.#count * BATCH_UNIT_SIZE, request);
    this.#count++;
    this.#next = request.consumeQueueOffset + innerCountOf(request);
    const isFileFull = (this.#written + this.#count * BATCH_UNIT_SIZE) % this.#fileSize === 0;
    if (isFileFull || this.#count === GATHERED_UNITS) await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#count === 0) return;
    const bytes = this.#count * BATCH_UNIT_SIZE;
    await this.#files.write(this.#gathered.subarray(0, bytes), this.#written);
    this.#written += bytes;
    this.#count = 0;
  }

  async #restart(first: DispatchRequest): Promise<void> {
    this.#count = 0;
    this.#written = 0;
    await this.#files.restart();
    await this.#put(first);
  }
}
