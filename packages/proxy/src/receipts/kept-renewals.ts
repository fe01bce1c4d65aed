import type { SavedTable } from '@vernier/broker/internal';
import { asArray, asObject, integerMember, type JsonObject, stringMember } from '@vernier/remoting';
import type { Receipt } from './handle.ts';

/** What is kept over a restart of a delivery whose time is renewed. */
export interface KeptRenewal {
  readonly clientId: string;
  readonly reconsumeTimes: number;
  /** Unix milliseconds when the client got it. */
  readonly since: number;
  /** How often its time was renewed. */
  readonly renewals: number;
  /** What its consumer has. */
  readonly first: Receipt;
  readonly newest: Receipt;
}

export interface RenewalsTableParts {
  readonly brokerName: string;
  readonly bytesMax: () => number;
  /** What to save; asked at each save. */
  readonly rows: () => Iterable<KeptRenewal>;
  /** Takes one that was saved. */
  readonly load: (kept: KeptRenewal) => void;
}

/** The four numbers in which receipts of one delivery differ. */
type HandleNumbers = [startOffset: number, popTime: number, invisibleMs: number, reviveQueueId: number];

/** The file of the deliveries whose time is renewed. Those that have no place come again at the end of their time. */
export const renewalsTable = ({ brokerName, bytesMax, rows, load }: RenewalsTableParts): SavedTable => ({
  *encode() {
    yield `{"brokerName":${JSON.stringify(brokerName)},"deliveries":[`;
    let left = bytesMax();
    let separator = '\n';
    for (const renewal of rows()) {
      const row = JSON.stringify(rowOf(renewal));
      left -= row.length;
      if (left < 0) break;
      yield separator + row;
      separator = ',\n';
    }
    yield '\n]}\n';
  },
  load(file) {
    const object = asObject(file, 'grpcReceipts.json');
    // Receipts have the name in them, and would be refused.
    if (stringMember(object, 'brokerName') !== brokerName) return;
    for (const row of asArray(object.deliveries, 'deliveries')) load(renewalOf(asObject(row, 'delivery'), brokerName));
  },
});

function rowOf({ clientId, reconsumeTimes, since, renewals, first, newest }: KeptRenewal): object {
  const { group, topic, queueId, queueOffset, logOffset } = newest;
  const place = { group, topic, queueId, queueOffset, logOffset };
  return { clientId, ...place, reconsumeTimes, since, renewals, first: numbersOf(first), newest: numbersOf(newest) };
}

const numbersOf = ({ handle }: Receipt): HandleNumbers => [
  handle.startOffset,
  handle.popTime,
  handle.invisibleMs,
  handle.reviveQueueId,
];

function renewalOf(row: JsonObject, brokerName: string): KeptRenewal {
  const place = {
    group: stringMember(row, 'group'),
    topic: stringMember(row, 'topic'),
    queueId: integerMember(row, 'queueId'),
    queueOffset: integerMember(row, 'queueOffset'),
    logOffset: integerMember(row, 'logOffset', -1),
    liteTopic: '',
  };
  const receipt = (name: 'first' | 'newest'): Receipt => {
    const numbers = asArray(row[name], name).map((_, index, all) => integerMember({ at: all[index] }, 'at'));
    const [startOffset = 0, popTime = 0, invisibleMs = 0, reviveQueueId = 0] = numbers;
    return { ...place, handle: { startOffset, popTime, invisibleMs, reviveQueueId, brokerName } };
  };
  return {
    clientId: stringMember(row, 'clientId'),
    reconsumeTimes: integerMember(row, 'reconsumeTimes'),
    since: integerMember(row, 'since'),
    renewals: Math.max(0, integerMember(row, 'renewals')),
    first: receipt('first'),
    newest: receipt('newest'),
  };
}
