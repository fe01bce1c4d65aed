// A nameserver with users of its own, on a disk that fails, is full, or hangs in the middle of a change.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createRequest, type ExtFields, RemotingClient, RequestCode, ResponseCode } from '@vernier/remoting';
import { SimulatedFileSystem } from '@vernier/torture';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { Namesrv } from '../src/index.ts';
import { guardNamesrv } from '../src/namesrv-access.ts';

const { SUCCESS, NO_PERMISSION, SYSTEM_ERROR } = ResponseCode;
const DIRECTORY = '/data/namesrv';
const ON = {
  ...{ authenticationEnabled: true, authorizationEnabled: true },
  initAuthenticationUser: '{"username":"root","password":"root-secret"}',
};

async function newDisk(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem();
  await disk.makeDirectory('/data');
  await disk.syncDirectory('/');
  return disk;
}

async function start(t: TestContext, fileSystem: SimulatedFileSystem, config: object = ON) {
  const namesrv = new Namesrv({ port: 0 });
  await guardNamesrv(namesrv, { config, directory: DIRECTORY, fileSystem });
  await namesrv.start();
  cleanUp(t, () => namesrv.shutdown(0));
  const as = (accessKey?: string, secretKey = `${accessKey}-secret`) => {
    const client = new RemotingClient(accessKey === undefined ? {} : { credentials: { accessKey, secretKey } });
    cleanUp(t, () => client.close());
    return async (code: number, fields: ExtFields = {}, body?: object): Promise<number> => {
      const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      return (await client.invoke(namesrv.address, createRequest(code, fields, bytes), 10_000)).code;
    };
  };
  const root = as('root');
  const create = (username: string) =>
    root(RequestCode.AUTH_CREATE_USER, { username }, { username, password: `${username}-secret`, userType: 'Super' });
  const cluster = (who: ReturnType<typeof as>) => who(RequestCode.GET_BROKER_CLUSTER_INFO);
  return { namesrv, as, root, create, cluster };
}

test('namesrv access: without authenticationEnabled nothing is asked and nothing written', async (t) => {
  const disk = await newDisk();
  const { as, cluster } = await start(t, disk, {});
  assert.equal(await cluster(as()), SUCCESS);
  assert.equal(await as()(RequestCode.AUTH_LIST_USER), ResponseCode.REQUEST_CODE_NOT_SUPPORTED);
  assert.deepEqual(disk.paths(), []);
});

test('namesrv access: every request has to be signed, by somebody who may', async (t) => {
  const { as, root, cluster, namesrv } = await start(t, await newDisk());
  for (const code of namesrv.server.requestCodes) assert.equal(await as()(code), NO_PERMISSION, `code ${code}`);
  assert.equal(await cluster(as('root', 'another')), NO_PERMISSION);
  assert.equal(await cluster(as('nobody')), NO_PERMISSION);
  assert.equal(await cluster(root), SUCCESS);
  const alice = { username: 'alice', password: 'alice-secret' };
  assert.equal(await root(RequestCode.AUTH_CREATE_USER, { username: 'alice' }, alice), SUCCESS);
  const kv = { namespace: 'N', key: 'k', value: 'v' };
  assert.equal(await as('alice')(RequestCode.PUT_KV_CONFIG, kv), NO_PERMISSION);
  const entries = [{ resource: 'Cluster:DefaultCluster', actions: ['Update'], decision: 'Allow' }];
  const acl = { subject: 'User:alice', policies: [{ entries }] };
  assert.equal(await root(RequestCode.AUTH_CREATE_ACL, { subject: 'User:alice' }, acl), SUCCESS);
  assert.equal(await as('alice')(RequestCode.PUT_KV_CONFIG, kv), SUCCESS);
  assert.equal(await as('alice')(RequestCode.GET_KV_CONFIG, kv), NO_PERMISSION, 'Update is no Get');
  const eve = { username: 'eve', password: 'eve-secret', userType: 'Super' };
  assert.notEqual(await as('alice')(RequestCode.AUTH_CREATE_USER, { username: 'eve' }, eve), SUCCESS);
  assert.equal(await cluster(as('eve')), NO_PERMISSION);
});

for (const code of ['ENOSPC', 'EIO']) {
  test(`namesrv access: ${code} at each call of a change: it is no success, nobody new gets in, and a start after a power cut has what was answered`, async (t) => {
    for (let step = 0, isDone = false; !isDone; step++) {
      const disk = await newDisk();
      const { create, cluster, as, namesrv } = await start(t, disk);
      assert.equal(await create('first'), SUCCESS);
      let calls = 0;
      disk.intercept = (operation) => {
        if (calls++ !== step) return;
        throw Object.assign(new Error(`${code}: ${operation}`), { code });
      };
      const answer = await create('second');
      disk.intercept = undefined;
      isDone = calls <= step;
      const isIn = await cluster(as('second'));
      assert.equal(isIn, answer === SUCCESS ? SUCCESS : NO_PERMISSION, `call ${step}`);
      if (!isDone) assert.ok(answer === SYSTEM_ERROR || answer === SUCCESS, `call ${step}: ${answer}`);
      assert.equal(await cluster(as('first')), SUCCESS, 'the others are served');
      assert.equal(await create('third'), SUCCESS, `call ${step}: the next change is made`);
      await namesrv.shutdown(0);
      const after = await start(t, disk.crash(step + 1, { survival: 0 }));
      assert.equal(await after.cluster(after.as('first')), SUCCESS);
      assert.equal(await after.cluster(after.as('third')), SUCCESS);
      assert.equal(await after.cluster(after.as('second')), isIn, `call ${step}: after a power cut`);
      await after.namesrv.shutdown(0);
    }
  });
}

test('namesrv access: while the disk hangs nobody new gets in, all others are served, and it is in force when it is written', async (t) => {
  const disk = await newDisk();
  const { create, cluster, as, root } = await start(t, disk);
  assert.equal(await create('first'), SUCCESS);
  const held = disk.hold('rename', 'access.json');
  const creating = create('second');
  await held.entered;
  assert.equal(await cluster(as('second')), NO_PERMISSION);
  assert.equal(await cluster(as('first')), SUCCESS);
  assert.equal(await root(RequestCode.AUTH_LIST_USER), SUCCESS);
  // A change behind it waits its turn; it does not get past.
  let isDeleted = false;
  const deleting = root(RequestCode.AUTH_DELETE_USER, { username: 'first' }).then((code) => {
    isDeleted = true;
    return code;
  });
  assert.equal(await cluster(as('first')), SUCCESS);
  assert.equal(isDeleted, false);
  held.release();
  assert.deepEqual([await creating, await deleting], [SUCCESS, SUCCESS]);
  assert.equal(await cluster(as('second')), SUCCESS);
  assert.equal(await cluster(as('first')), NO_PERMISSION);
});
