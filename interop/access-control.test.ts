/**
 * Access control (ACL 2.0) with Java's client 5.5.0 and Apache's `mqadmin`: users and policies managed, and requests,
 * producers and consumers that are allowed or denied. `--broker apache` runs the same against RocketMQ 5.5.0; where the two
 * differ, docs/compatibility.md says why.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, startBroker } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, startMqAdmin } from './peers/client-peer.ts';
import { javaMissing, repositoryRoot } from './peers/java.ts';
import { skipUnless } from './peers/suite.ts';
import { startVernier, type VernierPeer, vernierBin } from './peers/vernier.ts';

const NO_PERMISSION = 16;

/** RocketMQ has no place for users unless it is named. */
const places = {
  authenticationMetadataProvider:
    'org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider',
  authorizationMetadataProvider: 'org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider',
};

type Fields = Record<string, string | number | boolean>;

describe(`access control with ${brokerKind}`, { skip: skipUnless(javaMissing()), timeout: 300_000 }, () => {
  let broker: BrokerPeer;
  let admin: ClientPeer;

  const signedBy = (user: string): Record<string, string> =>
    user === '' ? {} : { accessKey: user, secretKey: `${user}-secret` };

  const mqadmin = async (line: string, user = 'root'): Promise<string> => {
    const at = `-b ${broker.brokerAddr} -n ${broker.namesrvAddr}`;
    const { out, err } = await admin.call<{ out: string; err: string }>('mqadmin', {
      ...signedBy(user),
      line: `${line} ${at}`,
    });
    return (out + err).replace(/^.*\|-(INFO|WARN) .*\n/gm, '');
  };

  const ask = (user: string, code: number, fields: Fields = {}, body = ''): Promise<{ code: number; remark: string }> =>
    admin.call('access.ask', {
      ...signedBy(user),
      ...{ address: broker.brokerAddr, code, body },
      fields: Object.entries(fields)
        .map(([name, value]) => `${name}=${value}`)
        .join('&'),
    });

  const client = <T>(user: string, what: string, values: Record<string, string | number>): Promise<T> =>
    admin.call<T>(`access.${what}`, { ...signedBy(user), ...values, namesrv: broker.namesrvAddr });

  before(async () => {
    broker = await startBroker('SYNC_FLUSH', {
      authenticationEnabled: true,
      authorizationEnabled: true,
      initAuthenticationUser: '{"username":"root","password":"root-secret"}',
      innerClientAuthenticationCredentials: '{"accessKey":"inner","secretKey":"inner-secret"}',
      ...(brokerKind === 'apache' ? places : {}),
    });
    admin = startMqAdmin();
    for (const user of ['alice', 'mallory']) {
      assert.match(await mqadmin(`createUser -u ${user} -p ${user}-secret -t Normal`), /success/);
    }
    assert.match(
      await mqadmin('createAcl -s User:alice -r Topic:orders*,Group:workers -a Pub,Sub -d Allow'),
      /success/,
    );
    assert.match(await mqadmin('createAcl -s User:alice -r Topic:orders-secret -a All -d Deny'), /success/);
    assert.match(await mqadmin('createAcl -s User:mallory -r Topic:own,Group:own-group -a All -d Allow'), /success/);
  });
  after(async () => {
    await admin?.stop();
    await broker?.stop();
  });

  it('mqadmin shows the users and policies that it made, changes and deletes them', async () => {
    const users = await mqadmin('listUser');
    for (const row of [
      /^root +root-secret +Super +enable/m,
      /^alice +alice-secret +Normal +enable/m,
      /^inner .*Super/m,
    ]) {
      assert.match(users, row);
    }
    const acl = await mqadmin('getAcl -s User:alice');
    assert.match(acl, /^User:alice +Custom +Topic:orders\* +\[Pub, Sub\] +null +Allow/m);
    assert.match(acl, /^User:alice +Custom +Topic:orders-secret +\[All\] +null +Deny/m);
    assert.match(await mqadmin('listAcl -s mallory'), /^User:mallory +Custom +Group:own-group +\[All\]/m);
    assert.match(await mqadmin('createUser -u alice -p x'), /CODE: 16.*user is existed/s);
    assert.match(await mqadmin('createAcl -s User:nobody -r Topic:x -a Pub -d Allow'), /CODE: 16.*not exist/s);
    assert.match(
      await mqadmin('createAcl -s User:alice -r Topic:x -a Pub -d Allow -i nonsense'),
      /CODE: 16.*source ip/s,
    );
    assert.match(await mqadmin('createUser -u carol -p carol-secret'), /success/);
    assert.match(await mqadmin('createAcl -s User:carol -r Cluster:* -a Get -d Allow -i 127.0.0.0/8'), /success/);
    assert.match(await mqadmin('getUser -u mallory', 'carol'), /^mallory /m);
    assert.match(await mqadmin('createUser -u dave -p x', 'carol'), /CODE: 16/);
    assert.match(await mqadmin('updateUser -u carol -s disable'), /success/);
    assert.equal((await ask('carol', 28)).code, NO_PERMISSION);
    assert.match(await mqadmin('updateUser -u carol -s enable'), /success/);
    assert.match(await mqadmin('deleteAcl -s User:carol'), /success/);
    assert.match(await mqadmin('deleteUser -u carol'), /success/);
    assert.equal((await ask('carol', 28)).code, NO_PERMISSION);
    assert.doesNotMatch(await mqadmin('listUser'), /carol/);
  });

  it('a producer and a consumer do what their user may, and nothing else', async () => {
    const sends: [user: string, topic: string, outcome: RegExp][] = [
      ['root', 'orders', /^SEND_OK$/],
      ['alice', 'orders', /^SEND_OK$/],
      ['alice', 'orders-eu', /^SEND_OK$/],
      ['alice', 'orders-secret', /^(CODE|NO ROUTE)/],
      ['alice', 'own', /^(CODE|NO ROUTE)/],
      ['mallory', 'own', /^SEND_OK$/],
      ['mallory', 'orders', /^(CODE|NO ROUTE)/],
      ['', 'orders', /^(CODE|NO ROUTE)/],
      ['nobody', 'orders', /^(CODE|NO ROUTE)/],
    ];
    for (const [user, topic, outcome] of sends) {
      assert.match(await client<string>(user, 'send', { topic }), outcome, `${user} sends to ${topic}`);
    }
    assert.equal(await client('alice', 'consume', { topic: 'orders', group: 'workers', millis: 60_000 }), true);
    assert.equal(await client('mallory', 'consume', { topic: 'orders', group: 'own-group', millis: 4_000 }), false);
  });

  /** Denied by both. */
  const denied: [what: string, user: string, code: number, fields: Fields, body?: string][] = [
    ['unsigned runtime info', '', 28, { x: 1 }],
    [
      'send to another topic',
      'mallory',
      310,
      { a: 'p', b: 'orders', c: 'TBW102', d: 4, e: 0, f: 0, g: 0, h: 0, i: '', j: 0 },
      'x',
    ],
    ['pull of another topic', 'mallory', 11, pullOf('orders', 'own-group')],
    ['pull with another group', 'mallory', 11, pullOf('own', 'workers')],
    [
      'pop of another topic',
      'mallory',
      200_050,
      { ...pullOf('orders', 'own-group'), invisibleTime: 1_000, pollTime: 0, bornTime: 0, initMode: 0 },
    ],
    [
      'ack of another group',
      'mallory',
      200_051,
      { consumerGroup: 'workers', topic: 'orders', queueId: 0, extraInfo: '0 1 1 0 0 broker-a 0 0', offset: 0 },
    ],
    ['query by key', 'mallory', 12, { topic: 'orders', key: 'k', maxNum: 1, beginTimestamp: 0, endTimestamp: 1 }],
    ['offsets of another group', 'mallory', 14, { consumerGroup: 'workers', topic: 'orders', queueId: 0 }],
    [
      'commit for another group',
      'mallory',
      15,
      { consumerGroup: 'workers', topic: 'orders', queueId: 0, commitOffset: 0 },
    ],
    [
      'creating a topic',
      'mallory',
      17,
      {
        topic: 'orders',
        defaultTopic: 'TBW102',
        readQueueNums: 1,
        writeQueueNums: 1,
        perm: 6,
        topicFilterType: 'SINGLE_TAG',
        order: false,
      },
    ],
    ['deleting a topic', 'mallory', 215, { topic: 'orders' }],
    ['deleting a group', 'mallory', 207, { groupName: 'workers' }],
    ['reset of another group', 'mallory', 222, { topic: 'orders', group: 'workers', timestamp: 0, isForce: true }],
    ['maximum offset', 'mallory', 30, { topic: 'orders', queueId: 0 }],
    ['statistics of a topic', 'mallory', 202, { topic: 'orders' }],
    ['members of a group', 'mallory', 38, { consumerGroup: 'workers' }],
    ['connections of a group', 'mallory', 203, { consumerGroup: 'workers' }],
    ['list of producers', 'mallory', 328, { x: 1 }],
    ['making a user', 'mallory', 3001, { username: 'm2' }, '{"password":"x","userType":"Super"}'],
    ['changing a user', 'mallory', 3002, { username: 'mallory' }, '{"userType":"Super"}'],
    ['deleting a user', 'mallory', 3003, { username: 'alice' }],
    ['reading a user', 'mallory', 3004, { username: 'alice' }],
    [
      'giving oneself rights',
      'mallory',
      3006,
      { subject: 'User:mallory' },
      '{"policies":[{"entries":[{"resource":"*","actions":["All"],"decision":"Allow"}]}]}',
    ],
    [
      'a denied topic',
      'alice',
      310,
      { a: 'p', b: 'orders-secret', c: 'TBW102', d: 4, e: 0, f: 0, g: 0, h: 0, i: '', j: 0 },
      'x',
    ],
  ];
  for (const [what, user, code, fields, body] of denied) {
    it(`denied: ${what}`, async () => {
      const answer = await ask(user, code, fields, body);
      assert.equal(answer.code, NO_PERMISSION, answer.remark);
    });
  }

  /** Allowed by both: whatever comes of it, it is not for want of a right. */
  const allowed: [what: string, user: string, code: number, fields: Fields, body?: string][] = [
    ['runtime info for a Super', 'root', 28, { x: 1 }],
    ['pull of one’s own', 'mallory', 11, pullOf('own', 'own-group')],
    ['maximum offset of one’s own', 'mallory', 30, { topic: 'own', queueId: 0 }],
    ['offsets of one’s own group', 'mallory', 14, { consumerGroup: 'own-group', topic: 'own', queueId: 0 }],
    [
      'creating one’s own topic',
      'mallory',
      17,
      {
        topic: 'own',
        defaultTopic: 'TBW102',
        readQueueNums: 4,
        writeQueueNums: 4,
        perm: 6,
        topicFilterType: 'SINGLE_TAG',
        order: false,
      },
    ],
    [
      'a topic by its beginning',
      'alice',
      310,
      { a: 'p', b: 'orders-x', c: 'TBW102', d: 4, e: 0, f: 0, g: 0, h: 0, i: '', j: 0 },
      'x',
    ],
    [
      'end of a transaction without a topic',
      'mallory',
      37,
      { producerGroup: 'p', tranStateTableOffset: 0, commitLogOffset: 0, commitOrRollback: 8, msgId: 'x' },
    ],
  ];
  for (const [what, user, code, fields, body] of allowed) {
    it(`allowed: ${what}`, async () => {
      const answer = await ask(user, code, fields, body);
      assert.notEqual(answer.code, NO_PERMISSION, answer.remark);
    });
  }

  /** Denied here, and allowed by RocketMQ; docs/compatibility.md, Access control. */
  const stricter: [what: string, user: string, code: number, fields: Fields, body?: string][] = [
    ['changing the configuration', 'mallory', 25, { x: 1 }, 'fileReservedTime=72'],
    ['reading the configuration', 'mallory', 26, { x: 1 }],
    ['runtime info', 'mallory', 28, { x: 1 }],
    ['lite pull of another topic', 'mallory', 361, pullOf('orders', 'workers')],
    ['retries of another group', 'mallory', 11, pullOf('%RETRY%workers', 'own-group')],
    ['making a group', 'mallory', 200, { x: 1 }, '{"groupName":"made-by-mallory"}'],
    [
      'queues of another group',
      'mallory',
      400,
      { x: 1 },
      '{"topic":"orders","consumerGroup":"workers","clientId":"c","strategyName":"AVG","messageModel":"CLUSTERING"}',
    ],
  ];
  for (const [what, user, code, fields, body] of stricter) {
    it(`denied here alone: ${what}`, async () => {
      const answer = await ask(user, code, fields, body);
      assert.equal(answer.code === NO_PERMISSION, brokerKind === 'vernier', `${answer.code} ${answer.remark}`);
    });
  }

  it('users and policies are there after a restart', async () => {
    await broker.stopBroker();
    await broker.startBroker();
    await askUntil('signed answer', 60_000, undefined, async () =>
      (await ask('root', 28, { x: 1 }).catch(() => undefined))?.code === 0 ? true : undefined,
    );
    assert.match(await mqadmin('listUser'), /^alice +alice-secret +Normal +enable/m);
    assert.equal((await ask('mallory', 30, { topic: 'orders', queueId: 0 })).code, NO_PERMISSION);
    assert.notEqual((await ask('mallory', 30, { topic: 'own', queueId: 0 })).code, NO_PERMISSION);
  });
});

describe('access control with the client of gRPC for Node.js', { timeout: 120_000 }, () => {
  let broker: VernierPeer;
  before(async () => {
    broker = await startVernier({
      flushDiskType: 'SYNC_FLUSH',
      proxy: true,
      extraConfig: {
        authenticationEnabled: true,
        authorizationEnabled: true,
        initAuthenticationUser: '{"username":"root","password":"root-secret"}',
      },
    });
    const root = ['--namesrv', broker.namesrvAddr, '--access-key', 'root', '--secret-key', 'root-secret'];
    for (const user of ['alice', 'mallory']) {
      const made = spawnSync(process.execPath, [vernierBin, 'user', 'create', user, '--password-file', '-', ...root], {
        input: `${user}-secret`,
      });
      assert.equal(made.status, 0, String(made.stderr));
    }
    const resources = ['--resource', 'Topic:delay-grpc', '--resource', 'Group:delay-grpc-listeners'];
    for (const args of [
      ['topic', 'create', 'delay-grpc', '--type', 'DELAY', ...root],
      ['acl', 'create', 'alice', ...resources, '--actions', 'Pub,Sub', ...root],
    ]) {
      const done = spawnSync(process.execPath, [vernierBin, ...args]);
      assert.equal(done.status, 0, String(done.stderr));
    }
  });
  after(() => broker?.stop());

  const example = (env: Record<string, string>) =>
    spawnSync(process.execPath, [join(repositoryRoot, 'examples/clients/grpc-node/delay.mjs'), broker.proxyAddr], {
      ...{ encoding: 'utf8', timeout: 30_000 },
      env: { ...process.env, ...env },
    });

  it('a user that may sends and receives', () => {
    const { stdout, status, stderr } = example({ ACCESS_KEY: 'alice', SECRET_KEY: 'alice-secret' });
    assert.deepEqual([stdout, status], ['later, after its time\n', 0], stderr);
  });

  it('a user that may not, a false secret and nobody do not', () => {
    for (const env of [
      { ACCESS_KEY: 'mallory', SECRET_KEY: 'mallory-secret' },
      { ACCESS_KEY: 'alice', SECRET_KEY: 'mallory-secret' },
      {} as Record<string, string>,
    ]) {
      const { stdout, status } = example(env);
      assert.equal(stdout, '');
      assert.notEqual(status, 0);
    }
  });
});

function pullOf(topic: string, consumerGroup: string): Fields {
  return {
    ...{ consumerGroup, topic, queueId: 0, queueOffset: 0, maxMsgNums: 1, sysFlag: 4, commitOffset: 0 },
    ...{ suspendTimeoutMillis: 0, subscription: '*', subVersion: 0, expressionType: 'TAG' },
  };
}
