import type { ImportedMessage } from '@vernier/doctor';
import { type ExtFields, RequestCode, ResponseCode, responseCodeName } from '@vernier/remoting';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG, TRANSACTION_ROLLBACK_TYPE } from '@vernier/store/internal';
import { CliError } from '../errors.ts';
import { Cluster, type RouteEntry } from './cluster.ts';
import type { Connecting } from './connecting.ts';
import { routeForSending } from './send.ts';

const TIMEOUT_MS = 10_000;

/** How an imported message fared. `unconfirmed`: it may be stored, and nobody said that it is safe. */
export type PutOutcome =
  | { status: 'stored'; reason?: undefined }
  | { status: 'unconfirmed' | 'refused'; reason: string };

/** Answers that mean the message is stored, though something it should wait for did not happen. */
const STORED: readonly number[] = [
  ResponseCode.FLUSH_DISK_TIMEOUT,
  ResponseCode.FLUSH_SLAVE_TIMEOUT,
  ResponseCode.SLAVE_NOT_AVAILABLE,
];

/** A queue that messages can be sent to. */
interface TargetQueue {
  entry: RouteEntry;
  queueId: number;
}

/**
 * The brokers behind a nameserver. The queues of all brokers of a topic take turns, as with a producer; each queue that
 * the messages come from has one of them, so that its messages keep their order.
 */
export class BrokerTarget {
  readonly #cluster: Cluster;
  /** Topic → the queues to send to. */
  readonly #queues = new Map<string, Promise<TargetQueue[]>>();

  constructor(namesrv: string, connecting: Connecting = {}) {
    this.#cluster = new Cluster(namesrv, connecting);
  }

  async put(message: ImportedMessage): Promise<PutOutcome> {
    let queues: TargetQueue[];
    try {
      queues = await this.#queuesOf(message.topic);
    } catch (error) {
      return { status: 'refused', reason: (error as Error).message };
    }
    const target = queues[message.queueId % queues.length];
    if (target === undefined) {
      return { status: 'refused', reason: `no broker takes messages for the topic ${message.topic}` };
    }
    try {
      const response = await this.#cluster.call(
        target.entry.address,
        RequestCode.SEND_MESSAGE_V2,
        header(message, target),
        { body: message.body, accept: STORED, timeoutMs: TIMEOUT_MS },
      );
      if (response.code === ResponseCode.SUCCESS) return { status: 'stored' };
      const reason = `stored, and not confirmed: ${responseCodeName(response.code)}`;
      return { status: 'unconfirmed', reason };
    } catch (error) {
      return { status: isRefusal(error) ? 'refused' : 'unconfirmed', reason: (error as Error).message };
    }
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  #queuesOf(topic: string): Promise<TargetQueue[]> {
    let queues = this.#queues.get(topic);
    if (queues === undefined) {
      queues = routeForSending(this.#cluster, topic).then(inTurn);
      // A nameserver that was away for a moment is asked again by the next message.
      queues.catch(() => this.#queues.delete(topic));
      this.#queues.set(topic, queues);
    }
    return queues;
  }
}

/** Whether the broker said no. Without an answer, and after a write or flush that failed, the message may be stored. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof CliError) || error.code !== 'CLI_REFUSED') return false;
  return error.details.response !== ResponseCode.SYSTEM_ERROR;
}

/** The first queue of each broker, then the second of each, and so on. */
export function inTurn(route: readonly RouteEntry[]): TargetQueue[] {
  const writable = route
    .filter(({ perm }) => (perm & 2) !== 0)
    .toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1));
  const most = writable.reduce((count, { writeQueueNums }) => Math.max(count, writeQueueNums), 0);
  const queues: TargetQueue[] = [];
  for (let queueId = 0; queueId < most; queueId++) {
    for (const entry of writable) if (queueId < entry.writeQueueNums) queues.push({ entry, queueId });
  }
  return queues;
}

/** A committed message is an ordinary one to whom it is sent; the kinds of its hosts are those of this connection. */
const NOT_SENT_FLAGS = TRANSACTION_ROLLBACK_TYPE | BORNHOST_V6_FLAG | STOREHOSTADDRESS_V6_FLAG;

/** The one-letter names of SendMessageRequestHeaderV2. */
function header(message: ImportedMessage, { entry, queueId }: TargetQueue): ExtFields {
  return {
    a: 'VERNIER_IMPORT',
    b: message.topic,
    c: 'TBW102',
    d: String(Math.max(4, entry.writeQueueNums)),
    e: String(queueId),
    f: String(message.sysFlag & ~NOT_SENT_FLAGS),
    g: String(message.bornTimestamp),
    h: String(message.flag),
    i: message.propertiesString,
    j: String(message.reconsumeTimes),
    k: 'false',
    m: 'false',
  };
}
