/**
 * What POP reads of others: handles, the records of the revive topic, consumerOrderInfo.json and messageRequestMode.json.
 *
 * What holds: each is read, or is refused without an exception; what is read has numbers that can be and is bounded; what is
 * written out of it reads back the same.
 */
import { parseJavaJson } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { Budget } from '../../../packages/broker/src/base/budget.ts';
import {
  decodeAck,
  decodeCheckPoint,
  encodeAck,
  encodeCheckPoint,
  indexOfAck,
  MESSAGES_MAX,
  mergeKeyOf,
} from '../../../packages/broker/src/pop/check-point.ts';
import { parseHandle } from '../../../packages/broker/src/pop/handle.ts';
import { InFlightTable } from '../../../packages/broker/src/pop/in-flight.ts';
import { nextOffsetOf } from '../../../packages/broker/src/pop/order-info.ts';
import { OrderInfos } from '../../../packages/broker/src/pop/order-infos.ts';
import { RequestModes } from '../../../packages/broker/src/pop/request-modes.ts';
import { withHostileMembers } from '../hostile.ts';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { checkPointBodies } from '../sound-bodies.ts';
import { expectOwnError, Find, type Target } from '../target.ts';

const BROKER = 'broker-a';
const NOW = 1_790_000_000_000;
const budget = (): Budget => new Budget('fuzz', () => 1024 * 1024, silentLogger);
const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** JSON of this kind: with hostile members, or with faults in its bytes. */
function damaged(random: Random, sound: unknown): Buffer {
  if (random.chance(0.6)) return Buffer.from(withHostileMembers(random, sound).text);
  return mutate(random, Buffer.from(JSON.stringify(sound)));
}

function handle(random: Random): void {
  const fields = ['17', '1790000000000', '30000', '3', '0', BROKER, '2', '19'];
  for (let times = random.below(4); times > 0; times--) fields[random.below(fields.length)] = someText(random);
  const text = random.chance(0.3)
    ? someText(random)
    : fields.slice(0, random.below(10)).join(random.pick([' ', ' ', '  ']));
  const read = parseHandle(text);
  if (typeof read === 'string') return;
  const { startOffset, popTime, invisibleMs, reviveQueueId } = read;
  if (![startOffset, popTime, invisibleMs, reviveQueueId].every(isWhole))
    throw new Find(`a handle is read as ${read}: ${text}`);
}

function record(random: Random): void {
  const body = damaged(random, random.pick(checkPointBodies));
  const what = body.toString('latin1').slice(0, 2_000);
  const point = decodeCheckPoint(body, BROKER);
  const ack = decodeAck(body, BROKER);
  const table = new InFlightTable(budget(), () => 0);
  if (point !== undefined) {
    const numbers = [
      point.queueId,
      point.startOffset,
      point.popTime,
      point.invisibleMs,
      point.rePutTimes,
      ...point.diffs,
    ];
    if (!numbers.every(isWhole) || point.diffs.length > MESSAGES_MAX)
      throw new Find(`a checkpoint is read as ${numbers}: ${what}`);
    const again = decodeCheckPoint(encodeCheckPoint(point), BROKER);
    if (again === undefined || mergeKeyOf(again) !== mergeKeyOf(point))
      throw new Find(`a checkpoint does not read back: ${what}`);
    table.gaveOut(point, 0);
  }
  if (ack === undefined) return;
  if (![ack.queueId, ack.startOffset, ack.popTime, ...ack.queueOffsets].every(isWhole)) {
    throw new Find(`an ack is read as ${JSON.stringify(ack)}: ${what}`);
  }
  // Of no message: nobody writes it.
  if (ack.queueOffsets.length === 0) return;
  const isBatch = ack.queueOffsets.length > 1;
  const again = decodeAck(encodeAck(ack, isBatch), BROKER);
  if (again === undefined || mergeKeyOf(again) !== mergeKeyOf(ack))
    throw new Find(`an ack does not read back: ${what}`);
  table.ackedNow(ack, NOW);
  if (point !== undefined) indexOfAck(point, ack.queueOffsets[0] ?? 0);
}

const ORDERS = {
  table: {
    'fuzz-a@group-a': {
      0: {
        ...{ a: 'attempt', cm: 5, i: 30_000, l: NOW, o: [17, 1, 2, 9], oc: { 17: 1 }, ot: { 18: NOW + 5 } },
        popTime: NOW,
      },
      1: { cm: 0, i: 30_000, l: NOW, o: [0], oc: {}, popTime: NOW },
    },
  },
};
const MODES = {
  messageRequestModeMap: {
    'fuzz-a': { 'group-a': { consumerGroup: 'group-a', mode: 'POP', popShareQueueNum: -1, topic: 'fuzz-a' } },
    'fuzz-b': { 'group-b': { consumerGroup: 'group-b', mode: 'PULL', popShareQueueNum: 3, topic: 'fuzz-b' } },
  },
};

const ordersOf = (): OrderInfos =>
  new OrderInfos({
    ...{ now: () => NOW, changed: () => {}, budget: budget(), isUsed: () => true },
    putsOnDisk: () => Promise.resolve(true),
  });
const modesOf = (): RequestModes => new RequestModes(() => {}, budget());

interface FileTable {
  load(file: unknown): void;
  encode(): Iterable<string>;
}

const textOf = (table: FileTable): string => [...table.encode()].join('');

/** It is read, and what it writes reads back the same; or it is refused with a code. */
function file<Table extends FileTable>(random: Random, sound: unknown, make: () => Table): Table | undefined {
  const bytes = damaged(random, sound);
  const what = bytes.toString('latin1').slice(0, 2_000);
  const table = make();
  try {
    table.load(parseJavaJson(bytes.toString('utf8')));
  } catch (error) {
    expectOwnError(error, what, /^REMOTING_/);
    return undefined;
  }
  // The second time in the order in which numbers stand in an object.
  const texts = [textOf(table)];
  for (let times = 0; times < 2; times++) {
    const again = make();
    try {
      again.load(parseJavaJson(texts[times]!));
    } catch (error) {
      throw new Find(`what was written of ${what} is not read: ${texts[times]}`, error);
    }
    texts.push(textOf(again));
  }
  if (texts[1] !== texts[2] || texts[0]!.length !== texts[1]!.length) {
    throw new Find(`what was written of ${what} reads back otherwise: ${texts.join(', ')}`);
  }
  return table;
}

function orders(random: Random): void {
  const table = file(random, ORDERS, ordersOf);
  for (const { topic, group, queueId, first, next } of table?.recoveredOffsets() ?? []) {
    const info = table!.get(topic, group, queueId)!;
    if (!isWhole(first) || next !== nextOffsetOf(info) || !isWhole(next)) throw new Find(`a batch goes on at ${next}`);
    const until = table!.blockedUntil(topic, group, queueId, undefined, 1_000);
    if (!isWhole(until)) throw new Find(`a queue is blocked until ${until}`);
    table!.ack(topic, group, queueId, first, info.popTime, first);
    table!.changeVisibleTime(topic, group, queueId, first, info.popTime, NOW);
    table!.popped({
      topic,
      group,
      queueId,
      attemptId: 'x',
      popTime: NOW,
      invisibleMs: 1,
      queueOffsets: [first, first + 1],
    });
  }
  if (table !== undefined) textOf(table);
}

export const pop: Target = {
  name: 'pop',
  sessionRounds: 5_000,
  open: () =>
    Promise.resolve({
      round: (random) => {
        const kind = random.below(5);
        if (kind === 0) handle(random);
        else if (kind <= 2) record(random);
        else if (kind === 3) orders(random);
        else file(random, MODES, modesOf);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    }),
};
