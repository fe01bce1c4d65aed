import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecords, RequestCode, ResponseCode } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '../../../torture/src/simulation/manual-clock.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { defaultBrokerConfig } from '../../src/config.ts';
import { SqlFilters } from '../../src/filter/sql-filters.ts';
import { SELECTOR_CHARS_MAX } from '../../src/filter/sql92/index.ts';
import { heartbeat, property, pullFields, send, startBroker } from '../harness.ts';

test('SQL92 pull: what matches comes, in order, and the offset moves on behind what does not', async (t) => {
  const broker = await startBroker(t);
  for (let index = 0; index < 20; index++) {
    await send(broker, 'T', `body ${index}`, property('amount', String(index)));
  }
  const pull = (offset: number, subscription: string) =>
    broker.invoke(
      RequestCode.PULL_MESSAGE,
      pullFields('T', offset, { subscription, expressionType: 'SQL92', maxMsgNums: '32' }),
    );
  const found = await pull(0, 'amount BETWEEN 5 AND 7 OR amount = 19');
  assert.equal(found.code, ResponseCode.SUCCESS, found.remark);
  assert.deepEqual(
    decodeRecords(found.body!).map(({ body }) => body.toString()),
    ['body 5', 'body 6', 'body 7', 'body 19'],
  );
  assert.equal(found.extFields?.nextBeginOffset, '20');
  const nothing = await pull(0, 'amount > 100');
  assert.equal(nothing.code, ResponseCode.PULL_RETRY_IMMEDIATELY);
  assert.equal(nothing.extFields?.nextBeginOffset, '20', 'what does not match is not looked at again');
  const wrong = await pull(0, 'amount >');
  assert.equal(wrong.code, ResponseCode.SUBSCRIPTION_PARSE_FAILED);
  assert.match(wrong.remark!, /a value is expected at 8/);
});

test('SQL92 by heartbeat: the group’s expression counts; one that is none is told at the pull', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'small', property('amount', '1'));
  await send(broker, 'T', 'large', property('amount', '9'));
  const beat = (sql: string, subVersion: number) =>
    broker.invoke(
      RequestCode.HEART_BEAT,
      undefined,
      heartbeat('c', { group: 'consumers', topic: 'T', subVersion, sql }),
    );
  const pull = (subVersion: string) =>
    broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0, { sysFlag: '0', subVersion, expressionType: 'SQL92' }));
  assert.equal((await beat('amount > 5', 10)).code, ResponseCode.SUCCESS);
  const found = await pull('10');
  assert.deepEqual(
    decodeRecords(found.body!).map(({ body }) => body.toString()),
    ['large'],
  );
  assert.equal((await beat('amount >', 11)).code, ResponseCode.SUCCESS);
  assert.equal((await pull('11')).code, ResponseCode.FILTER_DATA_NOT_EXIST);
});

test('SQL92 asked before: a client learns whether its expression is one, and whether the broker serves any', async (t) => {
  const broker = await startBroker(t);
  const check = (subString: string) =>
    broker.invoke(
      RequestCode.CHECK_CLIENT_CONFIG,
      undefined,
      Buffer.from(JSON.stringify({ subscriptionData: { topic: 'T', subString, expressionType: 'SQL92' } })),
    );
  assert.equal((await check('a = 1')).code, ResponseCode.SUCCESS);
  assert.equal((await check('a = ')).code, ResponseCode.SUBSCRIPTION_PARSE_FAILED);
  broker.broker.context.config.enablePropertyFilter = false;
  assert.equal((await check('a = 1')).code, ResponseCode.SYSTEM_ERROR);
});

test('SQL92 filters: each expression is read once, and a stranger’s many do not stay', () => {
  const lines: string[] = [];
  const note = (_fields: object, text: string) => lines.push(text);
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const filters = new SqlFilters({ ...defaultBrokerConfig }, logger as never, new ManualClock());
  const first = filters.of("a LIKE 'x'");
  assert.equal(filters.of("a LIKE 'x'"), first);
  assert.equal(lines.length, 1, 'the tail that is ignored is said once');
  assert.match(lines[0]!, /"LIKE 'x'" behind the end of an expression is ignored/);
  assert.equal(typeof filters.of('a ='), 'string');
  for (let index = 0; index < 1_000; index++) filters.of(`a = ${index}`);
  assert.notEqual(filters.of("a LIKE 'x'"), first, 'the oldest has gone');
});

test('SQL92 filters: what is kept of them has a bound in bytes, which is more than they take', () => {
  const clock = new ManualClock();
  const filters = new SqlFilters({ ...defaultBrokerConfig }, silentLogger, clock);
  const terms = (i: number): string => `a = ${i}${' OR b <> 1'.repeat(1_500)}`;
  const first = filters.of(terms(0));
  assert.ok(
    typeof first === 'object' && !(first instanceof Refusal) && first.bytes > 15_000 * 2 + 6_000 * 200,
    'a word is a function or two',
  );
  for (let i = 1; i < 40; i++) {
    clock.pass(1_000);
    assert.ok(!(filters.of(terms(i)) instanceof Refusal));
  }
  clock.pass(1_000);
  assert.notEqual(filters.of(terms(0)), first, 'the oldest has gone');
});

test('SQL92 filters: only so many new expressions are compiled a second, those that are known are served', () => {
  const clock = new ManualClock();
  const filters = new SqlFilters({ ...defaultBrokerConfig }, silentLogger, clock);
  const long = (index: number): string => `a = ${index}`.padEnd(SELECTOR_CHARS_MAX, ' ');
  const isServed = (expression: string): boolean => !(filters.of(expression) instanceof Refusal);
  assert.deepEqual([isServed(long(1)), isServed(long(2)), isServed(long(3))], [true, true, false]);
  const refusal = filters.of('b = 1');
  assert.ok(refusal instanceof Refusal && refusal.code === ResponseCode.SYSTEM_BUSY);
  assert.match(refusal.remark, /no new expression of 5 characters now: 262144 a second are compiled/);
  assert.ok(isServed(long(1)), 'it is known');
  clock.pass(1_000 / 16);
  assert.ok(isServed(long(3)));
  assert.ok(!isServed(long(4)));
  clock.pass(3_600_000);
  assert.equal(
    [4, 5, 6].filter((index) => isServed(long(index))).length,
    2,
    'an hour of rest gives no more than a burst',
  );
  assert.ok(!isServed(`${long(1)} `), 'one that is too long is no way around it');
});

test('SQL92 filters: with strictPropertyFilter what has something behind its end is refused', () => {
  const filters = new SqlFilters(
    { ...defaultBrokerConfig, strictPropertyFilter: true },
    silentLogger,
    new ManualClock(),
  );
  assert.match(filters.of("a LIKE 'x'") as string, /"LIKE 'x'" at 2 follows the end/);
  assert.equal(typeof filters.of('a = 1'), 'object');
});
