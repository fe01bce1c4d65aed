import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { fromExported, type ImportedMessage } from '@vernier/doctor';
import { MessageStore, type PutMessageStatus } from '@vernier/store';
import { BrokerTarget, type PutOutcome } from '../../client/broker-target.ts';
import { type ConnectingOptions, connectingOf } from '../../client/connecting.ts';
import { loadSettings } from '../../config/settings.ts';
import { CliError } from '../../errors.ts';
import { EXIT_FAILURE, EXIT_OK } from '../../exit-codes.ts';
import { linesOf } from '../../input/lines.ts';
import { report } from '../../main.ts';
import { workWithoutOutput } from '../../output/broken-output.ts';
import { print, printJson } from '../../output/print.ts';
import { Progress } from '../../output/progress.ts';
import { counted, grouped } from '../../output/table.ts';
import type { StoreOptions } from './common.ts';

export interface ImportOptions extends StoreOptions, ConnectingOptions {
  namesrv?: string;
  input?: string;
  topic?: string;
}

/** Messages under way at once. */
const IN_FLIGHT_MAX = 256;
/** Reasons that are printed. */
const REASONS_MAX = 10;
/** After so many messages in a row that were not stored it gives up: the store or the broker is gone. */
const FAILURES_MAX = 100;

interface Target {
  put(message: ImportedMessage): Promise<PutOutcome>;
  close(): Promise<void>;
}

interface Line {
  message: ImportedMessage;
  place: string;
}

/**
 * `vernier store import`. It ends at the first line that is no message, when what came before it is done. Exit code 1
 * when a message was not stored, or when it ended before the input did and some messages were stored; a first line that
 * is none is bad input, and nothing is opened or made then.
 */
export async function importMessages(directory: string | undefined, options: ImportOptions): Promise<number> {
  if ((directory === undefined) === (options.namesrv === undefined)) {
    throw new CliError('CLI_USAGE', 'import needs either DIR or --namesrv: where should the messages go?', {});
  }
  const input = lines(options);
  const first = await input.next();
  // The first line is read; from here on something is changed.
  workWithoutOutput();
  const target =
    directory === undefined
      ? new BrokerTarget(options.namesrv!, connectingOf(options))
      : await StoreTarget.open(directory, options);
  const tally = new Tally();
  const problem = await putAll(first, input, target, tally);
  const closing = await target.close().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (problem !== undefined && tally.total === 0 && closing === undefined) throw problem;
  await tell(tally, options.json === true, problem !== undefined);
  for (const failure of [problem, closing?.error]) if (failure !== undefined) report(failure, 'running');
  return problem === undefined && closing === undefined && tally.isComplete ? EXIT_OK : EXIT_FAILURE;
}

/** Puts every line. Resolves, when all that was put has been answered, with what ended it before the input's end. */
async function putAll(
  first: IteratorResult<Line, void>,
  input: AsyncGenerator<Line, void, undefined>,
  target: Target,
  tally: Tally,
): Promise<unknown> {
  const progress = new Progress();
  const inFlight = new Set<Promise<void>>();
  try {
    for (let next = first; !next.done; next = await input.next()) {
      const { message, place } = next.value;
      const putting = target.put(message).then((outcome) => {
        inFlight.delete(putting);
        tally.add(outcome, place);
        progress.update(() => `${grouped(tally.stored)} messages stored`);
      });
      inFlight.add(putting);
      if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
      if (tally.failedInARow >= FAILURES_MAX) {
        throw new CliError('CLI_NOT_ACKNOWLEDGED', `given up at ${place}: ${FAILURES_MAX} messages in a row failed`);
      }
    }
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await Promise.allSettled(inFlight);
    progress.clear();
  }
}

/** How the messages fared, with the first reasons. */
class Tally {
  stored = 0;
  unconfirmed = 0;
  refused = 0;
  failedInARow = 0;
  readonly reasons: string[] = [];

  add({ status, reason }: PutOutcome, place: string): void {
    this[status]++;
    this.failedInARow = status === 'stored' ? 0 : this.failedInARow + 1;
    if (reason !== undefined && this.reasons.length < REASONS_MAX) this.reasons.push(`${place}: ${reason}`);
  }

  get total(): number {
    return this.stored + this.unconfirmed + this.refused;
  }

  get isComplete(): boolean {
    return this.stored === this.total;
  }
}

async function tell(tally: Tally, json: boolean, ended: boolean): Promise<void> {
  const { stored, unconfirmed, refused, reasons } = tally;
  if (json) return printJson({ stored, unconfirmed, refused, reasons });
  for (const text of reasons) process.stderr.write(`${text}\n`);
  const parts = [`${counted(stored, 'message')} stored`];
  if (unconfirmed > 0) parts.push(`${grouped(unconfirmed)} not confirmed, which may be stored`);
  if (refused > 0) parts.push(`${grouped(refused)} refused`);
  await print(`${parts.join(', ')}${ended ? '; it ended before the input did' : ''}\n`);
}

async function* lines(options: ImportOptions): AsyncGenerator<Line, void, undefined> {
  const name = options.input ?? 'stdin';
  const input = options.input === undefined ? process.stdin : createReadStream(options.input);
  for await (const { number, bytes } of linesOf(input, name)) {
    const place = `${name} line ${number}`;
    // Other characters in the place of those bytes would be a loss that nobody sees.
    if (!isUtf8(bytes)) throw new CliError('CLI_INPUT_UNREADABLE', `${place} is not UTF-8`, { name, line: number });
    const text = bytes.toString('utf8');
    // Editors of some systems begin a file with a byte-order mark.
    const line = number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text;
    if (line.trim() === '') continue;
    const message = fromExported(line, place);
    yield { message: options.topic === undefined ? message : { ...message, topic: options.topic }, place };
  }
}

/** What the store says of a message that may be in the log all the same. */
const MAYBE_STORED: readonly PutMessageStatus[] = ['FLUSH_DISK_TIMEOUT', 'UNKNOWN_ERROR'];

/** A store that no broker has open. */
class StoreTarget implements Target {
  readonly #store: MessageStore;

  private constructor(store: MessageStore) {
    this.#store = store;
  }

  static async open(directory: string, options: ImportOptions): Promise<StoreTarget> {
    const settings = await loadSettings({ dataDir: directory, configFile: options.config, set: options.set ?? [] });
    const store = await MessageStore.open(settings.store);
    if (store.failure === undefined) return new StoreTarget(store);
    const { failure } = store;
    await store.shutdown();
    throw failure;
  }

  async put(message: ImportedMessage): Promise<PutOutcome> {
    const { status, reason = '' } = await this.#store.asyncPutMessage(message, 'group');
    if (status === 'PUT_OK') return { status: 'stored' };
    return { status: MAYBE_STORED.includes(status) ? 'unconfirmed' : 'refused', reason: `${status}: ${reason}` };
  }

  close(): Promise<void> {
    return this.#store.shutdown();
  }
}
