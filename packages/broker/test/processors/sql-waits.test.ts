// Expressions of SQL92 over the wire, when there is no budget to compile them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { Machine } from '../../../torture/test/machine.ts';
import { SELECTOR_CHARS_MAX } from '../../src/filter/sql92/index.ts';
import { allProcessors } from '../../src/processors/index.ts';
import { pullFields } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const { PULL_MESSAGE, POP_MESSAGE, CHECK_CLIENT_CONFIG } = RequestCode;
const { SUCCESS, SYSTEM_BUSY } = ResponseCode;

async function open() {
  const machine = new Machine({ flushDiskType: 'SYNC_FLUSH', mappedFileSizeCommitLog: 1024 * 1024 });
  const broker = await MachineBroker.start({ machine, hasTimer: true, random: () => 0.99 });
  await broker.send('T', 'a');
  const handlers = new Map(allProcessors(broker.context));
  const connection = (remoteHost: string) =>
    ({
      ...{ remoteAddress: `${remoteHost}:5000`, remoteHost, remotePort: 5_000, closed: false },
      ...{ destroy: () => {}, invokeOneway: () => true, reserve: () => undefined, unreserve: () => {} },
    }) as unknown as RemotingConnection;
  const [one, other] = [connection('10.0.0.1'), connection('10.0.0.2')];
  const begin = (code: number, fields: ExtFields, body?: string, by = one) => {
    const asked: { code?: number } = {};
    const request = createRequest(code, fields, body === undefined ? undefined : Buffer.from(body));
    Promise.resolve(handlers.get(code)!(request, by)).then((answer?: RemotingCommand) => {
      if (answer !== undefined) asked.code = answer.code;
    });
    return asked;
  };
  /** Longest expressions, each number another. */
  const text = (index: number): string => `a IS NULL OR a = ${index}`.padEnd(SELECTOR_CHARS_MAX, ' ');
  const pull = (index: number, by = one) =>
    begin(PULL_MESSAGE, pullFields('T', 0, { subscription: text(index), expressionType: 'SQL92' }), undefined, by);
  const pop = (index: number) =>
    begin(POP_MESSAGE, {
      ...{ consumerGroup: 'g', topic: 'T', queueId: '0', maxMsgNums: '32', invisibleTime: '1000', pollTime: '0' },
      ...{ bornTime: '0', initMode: '0', expType: 'SQL92', exp: text(index), order: 'false' },
    });
  const check = (index: number) =>
    begin(
      CHECK_CLIENT_CONFIG,
      {},
      JSON.stringify({ subscriptionData: { topic: 'T', subString: text(index), expressionType: 'SQL92' } }),
    );
  return { machine, other, pull, pop, check };
}

test('SQL92 over the wire: a pull, a pop and the question before a start wait for the budget of their expression', async () => {
  const { machine, pull, pop, check } = await open();
  await machine.advance(1_000);
  const asked = [check(1), check(2), check(3), pull(4), pop(5)];
  await machine.advance(0);
  assert.deepEqual(
    asked.map(({ code }) => code),
    [SUCCESS, undefined, undefined, undefined, undefined],
  );
  await machine.advance(900);
  assert.deepEqual(
    asked.map(({ code }) => code),
    [SUCCESS, SUCCESS, SUCCESS, SUCCESS, SUCCESS],
  );
});

test('SQL92 over the wire: who has waited a second is told, and another address is served meanwhile', async () => {
  const { machine, other, pull, pop, check } = await open();
  await machine.advance(1_000);
  for (let index = 0; index < 20; index++) pull(index);
  const late = [check(21), pull(22), pop(23)];
  await machine.advance(500);
  const served = pull(24, other);
  await machine.advance(450);
  assert.deepEqual(
    [...late, served].map(({ code }) => code),
    [undefined, undefined, undefined, SUCCESS],
  );
  await machine.advance(100);
  assert.deepEqual(
    late.map(({ code }) => code),
    [SYSTEM_BUSY, SYSTEM_BUSY, SYSTEM_BUSY],
  );
});
