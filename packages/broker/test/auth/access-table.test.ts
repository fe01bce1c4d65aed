import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@vernier/store';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import { AccessAdmin } from '../../src/auth/access-admin.ts';
import { AccessTable, aclJson, policiesFromJson } from '../../src/auth/access-table.ts';
import type { Budget } from '../../src/base/budget.ts';
import { MetadataFile } from '../../src/metadata/metadata-files.ts';
import { roomy, tight } from '../budgets.ts';

const PATH = '/store/config/access.json';

/** A table with its file on a disk, as the broker has it. */
async function tableOn(disk: SimulatedFileSystem, budget: Budget = roomy()) {
  const table: AccessTable = new AccessTable(budget, () => file.save());
  const file = new MetadataFile(PATH, table, 10, disk, new ManualClock(), silentLogger);
  await file.load();
  return { table, file, budget, admin: new AccessAdmin(table, true) };
}

async function newDisk(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem();
  await disk.makeDirectory('/store/config');
  await disk.syncDirectory('/store');
  await disk.syncDirectory('/');
  return disk;
}

const normal = (username: string, password = 'secret-secret') => ({
  ...{ username, password, userType: undefined, userStatus: undefined },
});

const policies = (resource: string, actions = ['Pub']) =>
  policiesFromJson({ policies: [{ entries: [{ resource, actions, decision: 'Allow' }] }] }).policies;

test('access table: what was answered is there after a power cut, with its policies', async () => {
  const disk = await newDisk();
  const { admin } = await tableOn(disk);
  assert.equal(await admin.createUser(normal('alice'), undefined).then((refusal) => refusal?.remark), undefined);
  assert.equal(await admin.putPolicies('User:alice', policies('Topic:T*')), undefined);
  for (let seed = 0; seed < 20; seed++) {
    const { table } = await tableOn(disk.crash(seed));
    assert.equal(table.user('alice')?.password, 'secret-secret');
    assert.deepEqual(aclJson('alice', table.policies('alice') ?? []), {
      subject: 'User:alice',
      policies: [
        {
          policyType: 'Custom',
          entries: [{ resource: 'Topic:T*', actions: ['Pub'], decision: 'Allow' }],
        },
      ],
    });
  }
});

test('access table: a user whose file could not be written is not there, now and later', async () => {
  const disk = await newDisk();
  const { admin, table, budget } = await tableOn(disk);
  await admin.createUser(normal('alice'), undefined);
  const used = budget.usedBytes;
  for (const operation of ['write', 'sync', 'rename', 'syncDirectory'] as const) {
    disk.inject({ operation, path: /config/, code: 'EIO', times: 1 });
    await assert.rejects(admin.createUser(normal('mallory'), undefined), { code: 'BROKER_METADATA_WRITE_FAILED' });
    assert.equal(table.user('mallory'), undefined, operation);
    assert.equal(budget.usedBytes, used);
  }
  await admin.createUser(normal('bob'), undefined);
  const again = await tableOn(disk.crash(1));
  assert.deepEqual(
    [...again.table.users()].map(({ username }) => username),
    ['alice', 'bob'],
  );
});

test('access table: nobody gets in while his user is being written', async () => {
  const disk = await newDisk();
  const { admin, table } = await tableOn(disk);
  const held = disk.hold('sync', /access/);
  const made = admin.createUser(normal('alice'), undefined);
  await held.entered;
  assert.equal(table.user('alice'), undefined);
  held.release();
  assert.equal(await made, undefined);
  assert.equal(table.user('alice')?.userType, 'Normal');
});

test('access table: changes that come at once are made one after another', async () => {
  const { admin, table } = await tableOn(await newDisk());
  const outcomes = await Promise.all([
    admin.createUser(normal('alice', 'first-one'), undefined),
    admin.createUser(normal('alice', 'second-one'), undefined),
    admin.updateUser({ ...normal('alice', ''), userStatus: 'disable' }, undefined),
    admin.deleteUser('nobody', undefined),
  ]);
  assert.deepEqual(
    outcomes.map((refusal) => refusal?.remark),
    [undefined, 'The user is existed', undefined, undefined],
  );
  assert.deepEqual(table.user('alice'), {
    ...{ username: 'alice', password: 'first-one', userType: 'Normal', userStatus: 'disable' },
  });
});

test('access table: a user goes with its policies, and gets none of them back', async () => {
  const { admin, table } = await tableOn(await newDisk());
  await admin.createUser(normal('alice'), undefined);
  await admin.putPolicies('User:alice', policies('*', ['All']));
  await admin.deleteUser('alice', undefined);
  assert.equal(table.policies('alice'), undefined);
  await admin.createUser(normal('alice'), undefined);
  assert.equal(table.rules('alice'), undefined);
});

test('access table: beyond its budget more is refused, what is there stays, and giving back makes room', async () => {
  const { admin, table, budget } = await tableOn(await newDisk(), tight(2_000));
  let made = 0;
  let refusal = await admin.createUser(normal('user0'), undefined);
  while (refusal === undefined && made < 100) refusal = await admin.createUser(normal(`user${++made}`), undefined);
  assert.match(refusal?.remark ?? '', /there is no room for more/);
  assert.equal([...table.users()].length, made);
  assert.match((await admin.putPolicies('User:user0', policies('Topic:T')))?.remark ?? '', /no room/);
  await admin.deleteUser('user1', undefined);
  await admin.deleteUser('user2', undefined);
  assert.equal(await admin.putPolicies('User:user0', policies('Topic:T')), undefined);
  for (const user of [...table.users()]) await admin.deleteUser(user.username, undefined);
  assert.equal(budget.usedBytes, 0);
});

test('access table: a file that says something else is refused whole', async () => {
  const user = { username: 'a', password: 'b', userType: 'Super', userStatus: 'enable' };
  for (const file of [
    [],
    { users: {} },
    { users: [{ ...user, userType: 'King' }] },
    { users: [{ ...user, password: '' }] },
    { users: [user], acls: [{ subject: 'a', policies: [] }] },
    { users: [user], acls: [{ subject: 'User:a', policies: [{ entries: [{ resource: 'T' }] }] }] },
  ]) {
    const table = new AccessTable(roomy(), () => Promise.resolve());
    assert.throws(() => table.load(file), JSON.stringify(file));
    assert.equal([...table.users()].length, 0);
  }
});

test('access admin: a Normal changes no Super, and makes none; nor does one that nobody knows', async () => {
  const { admin, table } = await tableOn(await newDisk());
  await admin.ensureSuper('root', 'root-secret');
  await admin.ensureSuper('root', 'another');
  assert.equal(table.user('root')?.password, 'root-secret', 'one that is there stays');
  const NO = (): undefined => undefined;
  const by = (isSuper: boolean) => ({ name: 'x', isSuper, refusalOf: NO, admit: NO, expired: NO });
  for (const who of [by(false), undefined]) {
    for (const refusal of [
      await admin.createUser({ ...normal('mallory'), userType: 'Super' }, who),
      await admin.updateUser({ ...normal('root', 'mine-now'), userType: undefined }, who),
      await admin.updateUser({ ...normal('root', ''), userStatus: 'disable' }, who),
      await admin.deleteUser('root', who),
    ]) {
      assert.match(refusal?.remark ?? '', /super user/);
    }
  }
  await admin.createUser(normal('alice'), by(false));
  assert.match(
    (await admin.updateUser({ ...normal('alice', ''), userType: 'Super' }, by(false)))?.remark ?? '',
    /super/,
  );
  assert.equal(table.user('root')?.userStatus, 'enable');
  assert.equal(table.user('alice')?.userType, 'Normal');
  assert.equal(await admin.updateUser({ ...normal('alice', ''), userType: 'Super' }, by(true)), undefined);
  assert.equal(admin.user('alice', by(false))?.password, undefined, 'a secret is told to a Super alone');
  assert.equal(admin.user('alice', undefined)?.password, undefined);
  assert.equal(admin.user('alice', by(true))?.password, 'secret-secret');
});

test('access admin: what is wrong is said with RocketMQ’s code, and changes nothing', async () => {
  const { admin, table } = await tableOn(await newDisk());
  await admin.createUser(normal('alice'), undefined);
  const refusals: [Promise<{ code: number; remark: string } | undefined>, RegExp][] = [
    [admin.createUser(normal(' '), undefined), /username can not be blank/],
    [admin.createUser(normal('a\u0000b'), undefined), /control character/],
    [admin.createUser(normal('x'.repeat(129)), undefined), /129 characters/],
    [admin.createUser(normal('bob', ''), undefined), /password can not be blank/],
    [admin.updateUser(normal('bob'), undefined), /not exist/],
    [admin.putPolicies('User:bob', policies('*')), /subject of User:bob is not exist/],
    [admin.putPolicies('Role:alice', policies('*')), /subject type/],
    [admin.putPolicies('User:alice', policies('nonsense')), /resource type/],
    [admin.deletePolicies('User:alice', 'Custom', ''), /acl is not exist/],
    [admin.deletePolicies('User:bob', 'Custom', ''), /subject is not exist/],
  ];
  for (const [refusal, expected] of refusals) {
    const { code, remark } = (await refusal)!;
    assert.equal(code, 16);
    assert.match(remark, expected);
  }
  assert.deepEqual(
    [...table.users()].map(({ username }) => username),
    ['alice'],
  );
  assert.deepEqual([...table.allPolicies()], []);
});
