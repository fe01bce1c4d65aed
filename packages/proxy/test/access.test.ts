import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ChannelCredentials, credentials, type Metadata } from '@grpc/grpc-js';
import { ServerIdentity } from '@vernier/remoting';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { policiesFromJson } from '../../broker/src/auth/access-table.ts';
import { hasNeeds } from '../src/access.ts';
import { unaryMethods } from '../src/methods/index.ts';
import { ClientType, Code, codecs } from '../src/wire/messages.ts';
import { answersOf, makeTopic, message, RawClient, startProxy, type TestProxy } from './harness.ts';

/** A client that signs as RocketMQ's do. */
class SigningClient extends RawClient {
  change: (metadata: Metadata) => void = () => {};
  readonly #user: string;
  readonly #secret: string;

  constructor(
    t: TestContext,
    endpoint: string,
    user: string,
    secret = `${user}-secret`,
    trust: ChannelCredentials = credentials.createInsecure(),
  ) {
    super(t, endpoint, `client-of-${user}`, trust);
    this.#user = user;
    this.#secret = secret;
  }

  override metadata(): Metadata {
    const metadata = super.metadata();
    const dateTime = '20261130T120000Z';
    const signature = createHmac('sha1', this.#secret).update(dateTime).digest('hex').toUpperCase();
    metadata.set('x-mq-date-time', dateTime);
    metadata.set(
      'authorization',
      `MQv2-HMAC-SHA1 Credential=${this.#user}, SignedHeaders=x-mq-date-time, Signature=${signature}`,
    );
    this.change(metadata);
    return metadata;
  }
}

async function secured(t: TestContext, more = {}, tls?: ServerIdentity): Promise<TestProxy> {
  const started = await startProxy(t, {
    ...(tls === undefined ? {} : { proxy: { tls } }),
    broker: {
      ...{ authenticationEnabled: true, authorizationEnabled: true, ...more },
      initAuthenticationUser: '{"username":"root","password":"root-secret"}',
    },
  });
  const { accessAdmin } = started.broker.context;
  for (const username of ['alice', 'mallory']) {
    const user = { username, password: `${username}-secret`, userType: undefined, userStatus: undefined };
    assert.equal(await accessAdmin.createUser(user, undefined), undefined);
    const allow = (kind: 'Topic' | 'Group', name: string) => ({
      pattern: { form: 'literal' as const, kind, name },
      ...{ actions: ['All' as const], sourceIps: [], decision: 'Allow' as const },
    });
    const entries = [allow('Topic', `of-${username}`), allow('Group', `${username}-group`)];
    assert.equal(await accessAdmin.putPolicies(`User:${username}`, [{ type: 'Custom', entries }]), undefined);
    makeTopic(started, `of-${username}`);
  }
  return started;
}

test('access of gRPC: every method has a row', () => {
  const messages = [...unaryMethods.map(({ name }) => `${name}Request`), 'ReceiveMessageRequest', 'TelemetryCommand'];
  assert.deepEqual(
    messages.filter((message) => !hasNeeds(message)),
    [],
  );
});

test('access of gRPC: what is signed by a user that may is served, in either case of the signature', async (t) => {
  const { endpoint } = await secured(t);
  const alice = new SigningClient(t, endpoint, 'alice');
  assert.equal((await alice.send(message('of-alice', 'x'))).status?.code, Code.OK);
  alice.change = (metadata) =>
    metadata.set(
      'authorization',
      String(metadata.get('authorization')[0]).replace(/[0-9A-F]{40}/, (hex) => hex.toLowerCase()),
    );
  assert.equal((await alice.route('of-alice')).status?.code, Code.OK);
  const root = new SigningClient(t, endpoint, 'root');
  assert.equal((await root.send(message('of-alice', 'x'))).status?.code, Code.OK);
});

// Policies would refuse them too.
for (const authorizationEnabled of [true, false]) {
  test(`access of gRPC: not signed, or not signed well, is UNAUTHORIZED and stores nothing, policies ${authorizationEnabled}`, async (t) => {
    const { endpoint, broker } = await secured(t, { authorizationEnabled });
    const alice = new SigningClient(t, endpoint, 'alice');
    const header = (edit: (text: string) => string) => (metadata: Metadata) =>
      metadata.set('authorization', edit(String(metadata.get('authorization')[0])));
    const changes: [string, (metadata: Metadata) => void][] = [
      ['no header', (metadata) => metadata.remove('authorization')],
      ['no time', (metadata) => metadata.remove('x-mq-date-time')],
      ['another time', (metadata) => metadata.set('x-mq-date-time', '20261130T120001Z')],
      ['another user', header((text) => text.replace('alice', 'root'))],
      ['truncated', header((text) => text.slice(0, -2))],
      ['no signature', header((text) => text.replace(/, Signature=.*/, ''))],
      ['no hex', header((text) => `${text.slice(0, -2)}zz`)],
      ['nothing behind the scheme', header(() => 'MQv2-HMAC-SHA1')],
    ];
    for (const [what, change] of changes) {
      alice.change = change;
      assert.equal((await alice.send(message('of-alice', 'x'))).status?.code, Code.UNAUTHORIZED, what);
    }
    assert.equal(broker.store.maxPhyOffset, 0);
  });
}

test('access of gRPC: topics and groups of another user', async (t) => {
  const { endpoint, broker } = await secured(t);
  const alice = new SigningClient(t, endpoint, 'alice');
  await alice.send(message('of-alice', 'secret'));
  const stored = broker.store.maxPhyOffset;
  const mallory = new SigningClient(t, endpoint, 'mallory');
  const [topic, group] = [{ name: 'of-alice' }, { name: 'alice-group' }];
  const [own, ownGroup] = [{ name: 'of-mallory' }, { name: 'mallory-group' }];
  const answers = [
    await mallory.send(message('of-alice', 'x')),
    await mallory.send(message('of-mallory', 'x'), message('of-alice', 'x')),
    await mallory.route('of-alice'),
    await mallory.ack({ group, topic: own, entries: [] }),
    await mallory.ack({ group: ownGroup, topic, entries: [] }),
    await mallory.call('QueryAssignment', codecs.QueryAssignmentRequest, codecs.QueryAssignmentResponse, {
      topic,
      group: ownGroup,
    }),
    await mallory.call('Heartbeat', codecs.HeartbeatRequest, codecs.HeartbeatResponse, {
      clientType: ClientType.SIMPLE_CONSUMER,
      group,
    }),
    await mallory.call('NotifyClientTermination', codecs.TerminationRequest, codecs.TerminationResponse, { group }),
    await mallory.call('EndTransaction', codecs.EndTransactionRequest, codecs.EndTransactionResponse, {
      topic,
      transactionId: 'x',
    }),
    await mallory.call('RecallMessage', codecs.RecallMessageRequest, codecs.RecallMessageResponse, {
      topic,
      recallHandle: 'x',
    }),
    await mallory.call(
      ...([
        'ChangeInvisibleDuration',
        codecs.ChangeInvisibleDurationRequest,
        codecs.ChangeInvisibleDurationResponse,
      ] as const),
      { topic, group: ownGroup, receiptHandle: 'x' },
    ),
    await mallory.call('ForwardMessageToDeadLetterQueue', codecs.ForwardRequest, codecs.ForwardResponse, {
      topic,
      group: ownGroup,
    }),
    await mallory.call(
      ...(['SyncLiteSubscription', codecs.SyncLiteSubscriptionRequest, codecs.SyncLiteSubscriptionResponse] as const),
      { topic, group: ownGroup },
    ),
    ...(await answersOf(mallory.receive({ group: ownGroup, messageQueue: { topic } }))).slice(0, 1),
  ];
  for (const [index, { status }] of answers.entries()) assert.equal(status?.code, Code.UNAUTHORIZED, `call ${index}`);
  assert.equal(broker.store.maxPhyOffset, stored);
  await assert.rejects(mallory.consumer('alice-group', 'of-mallory'), /no permission to access Group:alice-group/);
  await assert.rejects(mallory.consumer('mallory-group', 'of-alice'), /no permission to access Topic:of-alice/);
  assert.equal((await mallory.consumer('mallory-group', 'of-mallory')).status?.code, Code.OK);
});

test('access of gRPC: a message on the white list needs no signature', async (t) => {
  const { endpoint } = await secured(t, {
    authenticationWhitelist: 'apache.rocketmq.v2.QueryRouteRequest',
    authorizationWhitelist: 'apache.rocketmq.v2.QueryRouteRequest',
  });
  const nobody = new RawClient(t, endpoint, 'nobody');
  assert.equal((await nobody.route('of-alice')).status?.code, Code.OK);
  assert.equal((await nobody.send(message('of-alice', 'x'))).status?.code, Code.UNAUTHORIZED);
});

test('access of gRPC: a client is neither ended nor replaced by another user who knows its id', async (t) => {
  const { endpoint, broker } = await secured(t);
  const alice = new SigningClient(t, endpoint, 'alice');
  const mallory = new SigningClient(t, endpoint, 'mallory');
  mallory.change = (metadata) => metadata.set('x-mq-client-id', 'client-of-alice');
  await alice.consumer('alice-group', 'of-alice');
  const terminate = (client: SigningClient) =>
    client.call('NotifyClientTermination', codecs.TerminationRequest, codecs.TerminationResponse, {});
  assert.equal((await terminate(mallory)).status?.code, Code.UNAUTHORIZED);
  await assert.rejects(mallory.consumer('mallory-group', 'of-mallory'), /another user/);
  assert.equal(broker.context.consumers.members('alice-group')?.length, 1);
  assert.equal((await terminate(alice)).status?.code, Code.OK);
  assert.equal(broker.context.consumers.members('alice-group')?.length ?? 0, 0);
});

for (const isSecure of [false, true]) {
  test(`access of gRPC: a policy for other addresses is none, by TLS ${isSecure}`, async (t) => {
    const ownDirectory = await temporaryFolder(t, 'tls');
    const identity = new ServerIdentity({ ownDirectory });
    const { endpoint, broker } = await secured(t, {}, identity);
    let trust = credentials.createInsecure();
    if (isSecure) {
      await identity.material();
      const certificate = readFileSync(join(ownDirectory, 'tls.pem'));
      trust = credentials.createSsl(certificate, null, null, { checkServerIdentity: () => undefined });
    }
    const alice = new SigningClient(t, endpoint, 'alice', 'alice-secret', trust);
    const sendFrom = async (...sourceIps: string[]) => {
      const entries = [{ resource: 'Topic:of-alice', actions: ['Pub'], sourceIps, decision: 'Allow' }];
      const { policies } = policiesFromJson({ subject: 'User:alice', policies: [{ entries }] });
      const { accessAdmin } = broker.context;
      assert.equal(await accessAdmin.deletePolicies('User:alice', 'Custom', ''), undefined);
      assert.equal(await accessAdmin.putPolicies('User:alice', policies), undefined);
      const stored = broker.store.maxPhyOffset;
      const { status } = await alice.send(message('of-alice', 'x'));
      assert.equal(broker.store.maxPhyOffset > stored, status?.code === Code.OK);
      return status;
    };
    assert.equal((await sendFrom('127.0.0.1'))?.code, Code.OK);
    assert.equal((await sendFrom('10.0.0.0/8', '127.0.0.0/30'))?.code, Code.OK);
    for (const others of ['127.0.0.2', '10.0.0.0/8', '::1', '128.0.0.0/1']) {
      const status = await sendFrom(others);
      assert.equal(status?.code, Code.UNAUTHORIZED, others);
      assert.match(status?.message ?? '', /no permission to access Topic:of-alice from 127\.0\.0\.1/);
    }
  });
}

test('access of gRPC: a consumer whose right is gone does not stay in its group by calling itself a producer', async (t) => {
  const { endpoint, broker } = await secured(t);
  const alice = new SigningClient(t, endpoint, 'alice');
  await alice.consumer('alice-group', 'of-alice');
  const beat = async (client: RawClient, clientType: ClientType, group?: string) => {
    const request = { clientType, ...(group === undefined ? {} : { group: { name: group } }) };
    const answer = await client.call('Heartbeat', codecs.HeartbeatRequest, codecs.HeartbeatResponse, request);
    return answer.status?.code;
  };
  assert.equal(await beat(alice, ClientType.PRODUCER), Code.OK);
  assert.equal(await beat(alice, ClientType.PUSH_CONSUMER, 'alice-group'), Code.OK);
  assert.equal(await beat(alice, ClientType.PUSH_CONSUMER), Code.OK, 'its group is that of its settings');
  assert.equal(await beat(alice, ClientType.PUSH_CONSUMER, 'mallory-group'), Code.UNAUTHORIZED);
  const { accessAdmin } = broker.context;
  assert.equal(await accessAdmin.deletePolicies('User:alice', 'Custom', 'Group:alice-group'), undefined);
  for (const type of [ClientType.PRODUCER, ClientType.PUSH_CONSUMER, ClientType.CLIENT_TYPE_UNSPECIFIED]) {
    assert.equal(await beat(alice, type, 'alice-group'), Code.UNAUTHORIZED, ClientType[type]);
    assert.equal(await beat(alice, type), Code.UNAUTHORIZED, ClientType[type]);
  }
  // One that came as a producer needs no right, as with RocketMQ.
  const producer = new SigningClient(t, endpoint, 'mallory');
  await producer.settings({ clientType: ClientType.PRODUCER, publishing: { topics: [{ name: 'of-mallory' }] } });
  assert.equal(await beat(producer, ClientType.PRODUCER), Code.OK);
});
