import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecords, RequestCode, ResponseCode } from '@vernier/remoting';
import { type StoreLogger, silentLogger } from '@vernier/store';
import { ManualClock } from '../../../torture/src/simulation/manual-clock.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { defaultBrokerConfig } from '../../src/config.ts';
import { CompileBudget } from '../../src/filter/compile-budget.ts';
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

/** Callers by the end of their address. */
const from = (...end: number[]) => ({ host: { address: Uint8Array.of(10, 0, 0, 0, ...end).slice(-4), port: 1 } });

const isServed = (outcome: ReturnType<SqlFilters['of']>): boolean =>
  !(outcome instanceof Refusal) && !(outcome instanceof Promise);

/** What takes the budget that `chars` characters take, each number another. */
const expression = (index: number, chars: number): string => `a = ${index}`.padEnd(chars, ' ');

function open(logger: StoreLogger = silentLogger) {
  const clock = new ManualClock();
  return { clock, filters: new SqlFilters({ ...defaultBrokerConfig }, logger, clock) };
}

test('SQL92 filters: each expression is read once, also one that is none', () => {
  const lines: string[] = [];
  const note = (_fields: object, text: string) => lines.push(text);
  const { filters } = open({ debug() {}, info() {}, warn: note, error: note } as never);
  const first = filters.of("a LIKE 'x'", from(1));
  assert.equal(filters.of("a LIKE 'x'", from(2)), first);
  assert.equal(lines.length, 1, 'the tail that is ignored is said once');
  assert.match(lines[0]!, /"LIKE 'x'" behind the end of an expression is ignored/);
  assert.equal(typeof filters.of('a =', from(1)), 'string');
});

test('SQL92 filters: thousands of short expressions stay, whatever a stranger sends beside them', async () => {
  const { clock, filters } = open();
  const make = (i: number) => filters.of(`honest = ${i}`, from(1));
  const honest: unknown[] = [];
  for (let i = 0; i < 5_000; i++) {
    honest.push(make(i));
    clock.pass(1);
  }
  for (let i = 0; i < 5_000; i++) {
    filters.of(`stranger = ${i}`, from(2));
    clock.pass(1);
  }
  await clock.advance(2_000);
  assert.deepEqual(
    honest.map((filter, i) => filter === make(i)),
    honest.map(() => true),
  );
});

test('SQL92 filters: what is kept of them has a bound in bytes, and the one longest unused goes first', () => {
  const { clock, filters } = open();
  const terms = (i: number): string => `a = ${i}${' OR b <> 1'.repeat(1_500)}`;
  const of = (i: number) => filters.of(terms(i), from(1));
  const used = of(0);
  assert.ok(typeof used === 'object' && 'bytes' in used && used.bytes > 15_000 * 2 + 6_000 * 200, 'by its words');
  clock.pass(1_000);
  const second = of(1);
  for (let i = 2; i < 60; i++) {
    clock.pass(1_000);
    assert.ok(isServed(of(i)));
    assert.equal(of(0), used, 'one that is asked for stays');
  }
  clock.pass(1_000);
  assert.notEqual(of(1), second, 'what nobody asked for has gone');
});

test('SQL92 filters: only so many new expressions are compiled a second, those that are known are served', async () => {
  const { clock, filters } = open();
  const long = (index: number) => filters.of(expression(index, SELECTOR_CHARS_MAX), from(index));
  let compiled = 0;
  const outcomes = Array.from({ length: 100 }, async (_, index) => {
    const outcome = await long(index);
    if (!(outcome instanceof Refusal)) compiled++;
    return outcome;
  });
  await clock.advance(0);
  assert.equal(compiled, 1, 'all of them wait, but for one');
  assert.ok(isServed(long(0)), 'it is known');
  await clock.advance(100);
  assert.ok(compiled >= 3 && compiled <= 5, `${compiled} a tenth of a second later`);
  await clock.advance(2_000);
  const refusal = (await Promise.all(outcomes)).find((outcome) => outcome instanceof Refusal);
  assert.ok(compiled >= 25 && compiled <= 34, `${compiled} after as long as one waits`);
  assert.equal(refusal?.code, ResponseCode.SYSTEM_BUSY);
  assert.match(refusal.remark, /expression of 16384 characters now: 131072 a second .* for an address, 524288 for all/);
  assert.equal(clock.timerCount, 0, 'nothing waits');
  clock.pass(3_600_000);
  assert.ok(isServed(long(200)));
  assert.ok(!isServed(long(201)), 'an hour of rest gives no more than a burst');
});

test('SQL92 filters: a stranger who sends without end spends his own budget and not another’s', async () => {
  const { clock, filters } = open();
  let refused = 0;
  let sent = 0;
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < 20; i++) {
      // Several of his addresses are one: the host has the network.
      const address = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, i);
      const outcome = filters.of(expression(sent++, 2_000), { host: { address, port: 1 } });
      Promise.resolve(outcome).then((settled) => {
        if (settled instanceof Refusal) refused++;
      });
    }
    let honest: unknown;
    Promise.resolve(filters.of(`honest = ${round}`, from(1))).then((settled) => {
      honest = settled;
    });
    await clock.advance(20);
    assert.ok(honest !== undefined && !(honest instanceof Refusal), `round ${round}`);
  }
  assert.ok(refused > 3_000, `${refused} of ${sent} of his were refused`);
});

test('SQL92 filters: strangers at many addresses take turns with who asks for one', async () => {
  const { clock, filters } = open();
  for (let i = 0; i < 240; i++) {
    Promise.resolve(filters.of(expression(i, SELECTOR_CHARS_MAX), from(2 + (i % 20)))).catch(assert.fail);
  }
  let honest: unknown;
  Promise.resolve(filters.of('honest = 1', from(1))).then((settled) => {
    honest = settled;
  });
  await clock.advance(900);
  assert.equal(typeof honest, 'object', 'its turn has come');
  assert.ok(!(honest instanceof Refusal));
});

test('SQL92 filters: what waits has a bound, and one that is too long waits for nobody', async () => {
  const { clock, filters } = open();
  const outcomes = Array.from({ length: 200 }, (_, i) => filters.of(expression(i, SELECTOR_CHARS_MAX), from(1)));
  const waiting = outcomes.filter((outcome) => outcome instanceof Promise).length;
  const refused = outcomes.filter((outcome) => outcome instanceof Refusal).length;
  assert.ok(waiting >= 28 && waiting <= 32 && refused === 199 - waiting, `${waiting} wait, ${refused} are refused`);
  assert.match(filters.of(expression(1, SELECTOR_CHARS_MAX + 1), from(1)) as string, /has 16385 characters/);
  await clock.advance(2_000);
  assert.equal(clock.timerCount, 0);
});

test('SQL92 filters: the addresses that are told apart have a bound', () => {
  const clock = new ManualClock();
  const budget = new CompileBudget(clock);
  for (let i = 0; i < 5_000; i++) {
    budget.ask(String(i), { chars: 1, isKnown: () => false, done: () => {} });
    clock.pass(1);
  }
  assert.equal(budget.sourceCount, 1_024);
});

test('SQL92 filters: with strictPropertyFilter what has something behind its end is refused', () => {
  const filters = new SqlFilters(
    { ...defaultBrokerConfig, strictPropertyFilter: true },
    silentLogger,
    new ManualClock(),
  );
  assert.match(filters.of("a LIKE 'x'", from(1)) as string, /"LIKE 'x'" at 2 follows the end/);
  assert.equal(typeof filters.of('a = 1', from(1)), 'object');
});
