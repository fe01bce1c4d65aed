import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Cluster } from '../client/cluster.ts';
import { type ConnectingOptions, connectingOf } from '../client/connecting.ts';
import { routeForSending, Sender, type SendResult } from '../client/send.ts';
import { CliError } from '../errors.ts';
import { EXIT_FAILURE, EXIT_OK } from '../exit-codes.ts';
import { linesOf } from '../input/lines.ts';
import { report } from '../main.ts';
import { workWithoutOutput } from '../output/broken-output.ts';
import { print } from '../output/print.ts';
import { Progress } from '../output/progress.ts';
import { counted, grouped } from '../output/table.ts';

export interface ProduceOptions extends ConnectingOptions {
  namesrv: string;
  body?: string;
  file?: string;
  size?: number;
  count?: number;
  keys?: string;
  tags?: string;
  timeout: number;
  json?: boolean;
}

/** Messages under way at once: enough for one flush to take many, little enough for any broker. */
const IN_FLIGHT_MAX = 64;
/** After so many failures in a row it gives up. */
const FAILURES_MAX = 100;

/** `vernier produce`: rejects with CLI_NOT_ACKNOWLEDGED when any message was answered something else than SEND_OK. */
export async function produce(topic: string, options: ProduceOptions): Promise<number> {
  const bodies = await bodiesOf(options);
  const cluster = new Cluster(options.namesrv, connectingOf(options));
  const progress = new Progress();
  try {
    const route = await routeForSending(cluster, topic);
    if (route.every(({ perm, writeQueueNums }) => (perm & 2) === 0 || writeQueueNums === 0)) {
      throw new CliError(
        'CLI_NO_ROUTE',
        `no broker takes messages for the topic ${topic}; vernier topic create makes it`,
        {
          topic,
        },
      );
    }
    const sender = new Sender(cluster, topic, route, options.timeout);
    const tally = new Tally();
    const began = performance.now();
    const problem = await sendAll(bodies, sender, tally, options, progress);
    progress.clear();
    if (problem !== undefined && tally.total === 0) throw problem;
    if (!options.json) await print(`${summary(tally, (performance.now() - began) / 1_000)}\n`);
    if (problem !== undefined) report(problem, 'running');
    if (tally.total !== tally.acknowledged) throw notAcknowledged(tally);
    return problem === undefined ? EXIT_OK : EXIT_FAILURE;
  } finally {
    progress.clear();
    await cluster.close();
  }
}

/** Sends every body. Resolves, when all that was sent has been answered, with what ended it before the input's end. */
async function sendAll(
  bodies: AsyncIterable<Buffer> | Iterable<Buffer>,
  sender: Sender,
  tally: Tally,
  { keys, tags, count, json }: ProduceOptions,
  progress: Progress,
): Promise<unknown> {
  workWithoutOutput();
  const inFlight = new Set<Promise<void>>();
  try {
    for await (const body of bodies) {
      const sending = sender.send({ body, keys, tags }).then(async (result) => {
        tally.add(result);
        progress.update(() => `${grouped(tally.total)} answered${count ? ` of ${grouped(count)}` : ''}`);
        if (json) await print(`${JSON.stringify(result)}\n`);
        inFlight.delete(sending);
      });
      inFlight.add(sending);
      // The broker is gone, and each further message would only say so again.
      if (tally.failedInARow >= FAILURES_MAX) break;
      if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
    }
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await Promise.all(inFlight);
  }
}

/** What to send, one at a time: a line of stdin is not read before there is room for it. */
async function bodiesOf({
  body,
  file,
  size,
  count,
}: ProduceOptions): Promise<AsyncIterable<Buffer> | Iterable<Buffer>> {
  const given = [body, file, size].filter((value) => value !== undefined).length;
  if (given > 1) throw new CliError('CLI_USAGE', 'only one of --body, --file and --size gives the body');
  if (body !== undefined) return repeat(Buffer.from(body), count ?? 1);
  if (file !== undefined) return repeat(await bodyFromFile(file), count ?? 1);
  if (size !== undefined)
    return repeat(
      randomBytes(Math.ceil(size / 2))
        .toString('hex')
        .slice(0, size),
      count ?? 1,
    );
  if (count !== undefined)
    throw new CliError('CLI_USAGE', '--count needs --body, --file or --size; stdin is sent once');
  if (process.stdin.isTTY) process.stderr.write('one message a line, Ctrl-D ends\n');
  return lines();
}

function* repeat(body: Buffer | string, count: number): Iterable<Buffer> {
  const bytes = Buffer.from(body);
  for (let index = 0; index < count; index += 1) yield bytes;
}

async function* lines(): AsyncIterable<Buffer> {
  for await (const { bytes } of linesOf(process.stdin, 'stdin')) {
    // An empty line is no message: brokers of the Java kind refuse an empty body.
    if (bytes.length > 0) yield bytes;
  }
}

async function bodyFromFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_INPUT_UNREADABLE', `${file} cannot be read: ${code}`, { file, code }, error);
  }
}

/** Counts answers; of those that are no SEND_OK it keeps one reason each. */
class Tally {
  total = 0;
  failedInARow = 0;
  readonly #byStatus = new Map<string, { count: number; reason: string | undefined }>();

  add({ status, reason }: SendResult): void {
    this.total += 1;
    this.failedInARow = status === 'FAILED' ? this.failedInARow + 1 : 0;
    const entry = this.#byStatus.get(status) ?? { count: 0, reason };
    entry.count += 1;
    this.#byStatus.set(status, entry);
  }

  get acknowledged(): number {
    return this.#byStatus.get('SEND_OK')?.count ?? 0;
  }

  get others(): string[] {
    return [...this.#byStatus]
      .filter(([status]) => status !== 'SEND_OK')
      .map(([status, { count, reason }]) => `${grouped(count)} ${status}${reason ? ` (${reason})` : ''}`);
  }
}

function summary(tally: Tally, seconds: number): string {
  const { acknowledged } = tally;
  const messages = `${counted(acknowledged, 'message')} acknowledged`;
  const rate = acknowledged > 1 ? `, ${grouped(Math.round(acknowledged / seconds))} a second` : '';
  return `${messages} in ${seconds.toFixed(2)} s${rate}`;
}

function notAcknowledged(tally: Tally): CliError {
  return new CliError(
    'CLI_NOT_ACKNOWLEDGED',
    `${grouped(tally.total - tally.acknowledged)} of ${grouped(tally.total)} messages were not acknowledged: ${tally.others.join('; ')}`,
    { total: tally.total, acknowledged: tally.acknowledged },
  );
}
