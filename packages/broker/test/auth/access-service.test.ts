import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signatureOf } from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { AccessService, isFault } from '../../src/auth/access-service.ts';
import { AccessTable, policiesFromJson } from '../../src/auth/access-table.ts';
import { FailedSignIns } from '../../src/auth/failed-sign-ins.ts';
import { defaultBrokerConfig } from '../../src/config.ts';
import { roomy } from '../budgets.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function service(config: Partial<typeof defaultBrokerConfig> = {}) {
  const table = new AccessTable(roomy(), () => Promise.resolve());
  const user = (username: string, more = {}) => ({
    ...{ username, password: `of-${username}`, userType: 'Normal' as const, userStatus: 'enable' as const, ...more },
  });
  const { policies } = policiesFromJson({
    policies: [{ entries: [{ resource: 'Topic:T', actions: ['Pub'], decision: 'Allow' }] }],
  });
  assert.ok(typeof policies !== 'string');
  await table.change(() => ({
    users: new Map([
      ['alice', user('alice')],
      ['root', user('root', { userType: 'Super' })],
      ['gone', user('gone', { userStatus: 'disable' })],
    ]),
    policies: new Map([
      ['alice', policies],
      ['gone', policies],
    ]),
  }));
  const on = { ...defaultBrokerConfig, authenticationEnabled: true, authorizationEnabled: true, ...config };
  const clock = new ManualClock();
  const failures = new FailedSignIns(clock, silent);
  return { access: new AccessService({ config: on, table, failures }), table, clock };
}

const proof = (username: string, secret: string, text = 'text') => ({
  ...{ username, signature: signatureOf(text, undefined, secret), text },
});

test('access service: a user is known by its signature, and nobody says what was wrong', async () => {
  const { access } = await service();
  const alice = access.authenticate(proof('alice', 'of-alice'), '10.0.0.1');
  assert.ok(!isFault(alice));
  assert.deepEqual([alice.name, alice.isSuper], ['alice', false]);
  const good = proof('alice', 'of-alice');
  const faults = [
    proof('alice', 'of-bob'),
    proof('bob', 'of-bob'),
    { ...good, text: 'another text' },
    { ...good, body: Buffer.from('more') },
    { ...good, signature: good.signature.slice(0, -1) },
    { ...good, signature: '' },
    { ...good, signature: `${good.signature} ` },
    { ...good, username: 'Alice' },
  ].map((one) => access.authenticate(one, '10.0.0.1'));
  const remarks = new Set(faults.map((found) => (isFault(found) ? found.refusal.remark : 'signed in')));
  assert.equal(remarks.size, 1);
  assert.match([...remarks][0]!, /check signature failed/);
  const unsigned = access.authenticate({ ...good, username: '' }, '10.0.0.1');
  assert.ok(isFault(unsigned) && unsigned.refusal.code === 16);
  const disabled = access.authenticate(proof('gone', 'of-gone'), '10.0.0.1');
  assert.ok(isFault(disabled) && /disabled/.test(disabled.refusal.remark));
  const notGone = access.authenticate(proof('gone', 'x'), '10.0.0.1');
  assert.ok(isFault(notGone) && /check signature failed/.test(notGone.refusal.remark));
  const nobody = access.authenticate(proof('bob', 'of-bob'), '10.0.0.1');
  assert.deepEqual(
    [unsigned, disabled, notGone, nobody].map((one) => isFault(one) && one.kind),
    ['unsigned', 'disabled', 'signature', 'no_user'],
  );
});

test('access service: rights are looked up when they are asked for', async () => {
  const { access, table } = await service();
  const alice = access.authenticate(proof('alice', 'of-alice'), '10.0.0.1');
  const root = access.authenticate(proof('root', 'of-root'), '10.0.0.1');
  assert.ok(!isFault(alice) && !isFault(root));
  const publish = (name: string) => [{ kind: 'Topic' as const, name, actions: ['Pub' as const] }];
  assert.equal(alice.refusalOf(publish('T')), undefined);
  assert.equal(alice.refusalOf([]), undefined);
  const refusal = alice.refusalOf([...publish('T'), ...publish('U')]);
  assert.equal(refusal?.code, 16);
  assert.match(refusal.remark, /User:alice has no permission to access Topic:U from 10.0.0.1, no matched policies/);
  assert.equal(root.refusalOf(publish('U')), undefined);
  await table.change(() => ({ policies: new Map([['alice', undefined]]) }));
  assert.match(alice.refusalOf(publish('T'))?.remark ?? '', /no matched policies/);
  await table.change(() => ({ users: new Map([['root', undefined]]) }));
  assert.match(root.refusalOf(publish('T'))?.remark ?? '', /no matched policies/, 'a Super that is gone is nobody');
  assert.equal(access.deniedCount, 3);
  assert.deepEqual([...access.denied], [['Pub', 3]]);
});

test('access service: white lists, by code and by name', async () => {
  const { access } = await service({
    authenticationWhitelist: '105, apache.rocketmq.v2.QueryRouteRequest',
    authorizationWhitelist: '34',
  });
  assert.deepEqual(
    ['105', '10', '1', '5', 'apache.rocketmq.v2.QueryRouteRequest'].map((name) => access.needsSignature(name)),
    [false, true, true, true, false],
  );
  assert.deepEqual(
    ['105', '34'].map((name) => access.needsRight(name)),
    [true, false],
  );
  const off = await service({ authenticationEnabled: false, authorizationEnabled: false });
  assert.equal(off.access.needsSignature('10') || off.access.needsRight('10'), false);
});

test('failed sign-ins: a line a minute for each source, with how many came before', () => {
  const lines: string[] = [];
  const clock = new ManualClock();
  const failures = new FailedSignIns(clock, {
    ...silent,
    warn: (_fields: object, line: string) => void lines.push(line),
  });
  for (let i = 0; i < 5; i++) failures.failed('10.0.0.1', `reason ${i}`, 'signature');
  failures.failed('10.0.0.2', 'another', 'signature');
  assert.deepEqual(lines, ['sign-in from 10.0.0.1 failed: reason 0', 'sign-in from 10.0.0.2 failed: another']);
  return clock.advance(60_000).then(() => {
    failures.failed('10.0.0.1', 'reason 5', 'signature');
    assert.equal(lines[2], 'sign-in from 10.0.0.1 failed: reason 5; 4 more of it since the last line');
    failures.failed('10.0.0.1', 'no name', 'unsigned');
    assert.equal(failures.total, 8);
    assert.deepEqual(failures.counts, { unsigned: 1, no_user: 0, signature: 7, disabled: 0 });
  });
});

test('failed sign-ins: after ten in a minute answers come one each 100 ms, and then the source is disconnected', async () => {
  const clock = new ManualClock();
  const failures = new FailedSignIns(clock, silent);
  for (let i = 0; i < 10; i++) assert.equal(failures.failed('10.0.0.1', '', 'signature'), undefined);
  const answered: number[] = [];
  for (let i = 0; i < 100; i++) {
    const wait = failures.failed('10.0.0.1', '', 'signature');
    assert.ok(wait instanceof Promise);
    wait.then(() => answered.push(i));
  }
  assert.equal(failures.failed('10.0.0.1', '', 'signature'), 'disconnect');
  assert.equal(failures.failed('10.0.0.2', '', 'signature'), undefined, 'another source does not wait');
  await clock.advance(1_000);
  assert.equal(answered.length, 10);
  await clock.advance(9_000);
  assert.equal(answered.length, 100);
  assert.equal(clock.timerCount, 0);
  await clock.advance(60_000);
  assert.equal(failures.failed('10.0.0.1', '', 'signature'), undefined, 'a new minute');
});

test('failed sign-ins: a flood from a hundred thousand addresses fills neither memory nor log', () => {
  let lines = 0;
  const failures = new FailedSignIns(new ManualClock(), { ...silent, warn: () => void lines++ });
  for (let i = 0; i < 100_000; i++) failures.failed(`2001:db8::${i.toString(16)}`, 'wrong', 'signature');
  assert.equal(lines, 60);
  assert.equal(failures.total, 100_000);
});
