/**
 * What access control reads of others: signed frames, bodies of policies and users, access.json.
 *
 * What holds: nothing throws but errors with a code; a frame gets through the gate as a user only when it is signed by that
 * user as it stands, and with a right; policies that are read are written and read back the same, and answer every question;
 * a table is loaded whole or not at all, and what it writes it reads.
 */
import { createHmac } from 'node:crypto';
import {
  createRequest,
  decodeFrame,
  type ExtFields,
  encodeFrame,
  parseJavaJson,
  type RemotingCommand,
  type RemotingConnection,
  SerializeType,
  sign,
} from '@vernier/remoting';
import { silentLogger, systemClock } from '@vernier/store';
import { AccessService } from '../../../packages/broker/src/auth/access-service.ts';
import { AccessTable, aclJson, policiesFromJson } from '../../../packages/broker/src/auth/access-table.ts';
import { FailedSignIns } from '../../../packages/broker/src/auth/failed-sign-ins.ts';
import { type Policies, Rules } from '../../../packages/broker/src/auth/policies.ts';
import { Budget } from '../../../packages/broker/src/base/budget.ts';
import { ACTIONS, type Identity, RESOURCE_KINDS } from '../../../packages/broker/src/base/identity.ts';
import { defaultBrokerConfig } from '../../../packages/broker/src/config.ts';
import { accessGate } from '../../../packages/broker/src/gate/access-gate.ts';
import { accessesOf, accessRows, factsOf } from '../../../packages/broker/src/gate/access-rows.ts';
import { withHostileMembers } from '../hostile.ts';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { requestBodies } from '../sound-bodies.ts';
import { expectOwnError, Find, type Target } from '../target.ts';

const budget = (): Budget => new Budget('fuzz', () => 1024 * 1024, silentLogger);
const newTable = (): AccessTable => new AccessTable(budget(), () => Promise.resolve());

const entry = (resource: string, actions: string[], decision = 'Allow') => ({ resource, actions, decision });
const ACL = {
  subject: 'User:alice',
  policies: [
    {
      policyType: 'Custom',
      entries: [
        entry('Topic:own*', ['Pub', 'Sub']),
        entry('Group:own', ['All']),
        { ...entry('*', ['All'], 'Deny'), sourceIps: ['10.0.0.0/8', '::1'] },
      ],
    },
    { policyType: 'Default', entries: [entry('Topic:*', ['Get'])] },
  ],
};
const FILE = {
  users: [
    { username: 'alice', password: 'alice-secret', userType: 'Normal', userStatus: 'enable' },
    { username: 'root', password: 'root-secret', userType: 'Super', userStatus: 'enable' },
  ],
  acls: [ACL],
};

/** JSON of this kind: with hostile members, or with faults in its bytes. */
function damaged(random: Random, sound: unknown): Buffer {
  if (random.chance(0.1)) return Buffer.from(JSON.stringify(sound));
  if (random.chance(0.6)) return Buffer.from(withHostileMembers(random, sound).text);
  return mutate(random, Buffer.from(JSON.stringify(sound)));
}

function policies(random: Random): void {
  const bytes = damaged(random, ACL);
  const what = bytes.toString('latin1').slice(0, 2_000);
  let read: ReturnType<typeof policiesFromJson>;
  try {
    read = policiesFromJson(parseJavaJson(bytes.toString('utf8')));
  } catch (error) {
    expectOwnError(error, what, /^REMOTING_/);
    return;
  }
  if (typeof read.policies === 'string') return;
  const written = JSON.stringify(aclJson('alice', read.policies));
  const again = policiesFromJson(JSON.parse(written)).policies;
  if (typeof again === 'string' || JSON.stringify(aclJson('alice', again)) !== written) {
    throw new Find(`policies read back otherwise: ${what}: ${written}`);
  }
  questions(random, read.policies);
}

function questions(random: Random, all: Policies): void {
  const rules = new Rules(all);
  for (let times = 0; times < 5; times++) {
    const name = random.chance(0.5) ? random.pick(['own', 'own-1', 'x', '']) : someText(random);
    const access = { kind: random.pick(RESOURCE_KINDS), name, actions: [random.pick(ACTIONS)] };
    const address = random.chance(0.7) ? random.pick(['10.1.1.1', '127.0.0.1', '::1']) : someText(random);
    const verdict = rules.verdict(access, address);
    if (!['Allow', 'Deny', 'none'].includes(verdict)) throw new Find(`a verdict is ${verdict}`);
  }
}

function file(random: Random): void {
  const bytes = damaged(random, FILE);
  const what = bytes.toString('latin1').slice(0, 2_000);
  const table = newTable();
  try {
    table.load(parseJavaJson(bytes.toString('utf8')));
  } catch (error) {
    if (!(error instanceof TypeError)) expectOwnError(error, what, /^REMOTING_/);
    if ([...table.users()].length > 0) throw new Find(`half of a table was loaded: ${what}`);
    return;
  }
  const text = [...table.encode()].join('');
  const again = newTable();
  try {
    again.load(JSON.parse(text));
  } catch (error) {
    throw new Find(`what was written of ${what} is not read: ${text}`, error);
  }
  if ([...again.encode()].join('') !== text)
    throw new Find(`what was written of ${what} reads back otherwise: ${text}`);
}

/** As anybody would compute it who knows the protocol alone. */
function isSignedBy(secret: string, { extFields = {}, body, version }: RemotingCommand): boolean {
  const names = Object.keys(extFields).sort();
  const signed = names.filter((name) => name !== 'Signature' && !(name === '_UNIQUE_KEY_QUERY' && version <= 399));
  const values = Buffer.from(signed.map((name) => extFields[name] ?? '').join(''));
  const expected = createHmac('sha1', secret).update(Buffer.concat([values, body ?? Buffer.alloc(0)]));
  return expected.digest('base64') === extFields.Signature;
}

const SECRETS: Readonly<Record<string, string>> = { alice: 'alice-secret', root: 'root-secret' };
const FIELD_NAMES = [
  'topic',
  'b',
  'consumerGroup',
  'a',
  'group',
  'queueId',
  'username',
  'subject',
  'topicList',
  '__proto__',
];
const FIELD_VALUES = ['own', 'own-1', 'others', '%RETRY%own', '%RETRY%others', '%RETRY%own_x', '0', '', 'TBW102'];

function signedFrame(random: Random): RemotingCommand | undefined {
  const fields: ExtFields = {};
  for (let times = random.below(6); times > 0; times--) {
    const value = random.chance(0.8) ? random.pick(FIELD_VALUES) : someText(random);
    Object.defineProperty(fields, random.pick(FIELD_NAMES), {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  const body = random.chance(0.5) ? undefined : damaged(random, random.pick([...requestBodies, ACL]));
  const code = random.chance(0.9) ? random.pick(accessRows).code : random.below(400_000);
  const request = createRequest(code, fields, body);
  if (random.chance(0.2)) request.version = random.pick([399, 400, 0, -1]);
  const user = random.pick(['alice', 'alice', 'root', 'nobody']);
  if (random.chance(0.95)) sign(request, { accessKey: user, secretKey: SECRETS[user] ?? 'x' });
  if (random.chance(0.3)) {
    request.extFields ??= {};
    request.extFields[random.pick([...FIELD_NAMES, 'Signature', 'AccessKey'])] = someText(random);
  }
  if (random.chance(0.1)) request.body = damaged(random, random.pick([...requestBodies, ACL]));
  request.serializeType = code < 32_768 && random.chance(0.5) ? SerializeType.ROCKETMQ : SerializeType.JSON;
  let frame = Buffer.from(encodeFrame(request));
  if (random.chance(0.3)) frame = Buffer.from(mutate(random, frame));
  if (frame.length < 8) return undefined;
  try {
    return decodeFrame(frame, 4, frame.length);
  } catch (error) {
    if (!(error instanceof RangeError)) expectOwnError(error, frame.toString('latin1'), /^REMOTING_/);
    return undefined;
  }
}

class Gate {
  readonly #table = newTable();
  readonly #access: AccessService;
  readonly #connection = {
    ...{ remoteHost: '127.0.0.1', remotePort: 1, remoteAddress: '127.0.0.1:1', destroy: () => {} },
  } as unknown as RemotingConnection;

  constructor() {
    this.#table.load(FILE);
    this.#access = new AccessService({
      config: { ...defaultBrokerConfig, authenticationEnabled: true, authorizationEnabled: true },
      table: this.#table,
      // It answers at once: a fuzz run does not wait.
      failures: Object.assign(new FailedSignIns(systemClock, silentLogger), { failed: () => undefined }),
    });
  }

  round(random: Random): void {
    const request = signedFrame(random);
    if (request === undefined) return;
    let identity: Identity | undefined;
    let hasPassed = false;
    const gate = accessGate({
      access: this.#access,
      isGroup: (name) => name === 'others',
      passed: (_, who) => {
        hasPassed = true;
        identity = who;
      },
    });
    const what = `${request.code} ${JSON.stringify(request.extFields)} ${request.body?.toString('latin1').slice(0, 500)}`;
    const answer = gate(request, this.#connection);
    if ((answer === undefined) !== hasPassed) throw new Find(`neither answered nor passed: ${what}`);
    if (answer !== undefined) {
      if (answer instanceof Promise || answer.code !== 16) throw new Find(`refused otherwise: ${what}`);
      return;
    }
    if (identity === undefined) throw new Find(`an unsigned request passed: ${what}`);
    const secret = SECRETS[identity.name];
    if (secret === undefined || identity.name !== request.extFields?.AccessKey || !isSignedBy(secret, request)) {
      throw new Find(`a request passed that ${identity.name} did not sign: ${what}`);
    }
    if (identity.isSuper) return;
    const asked = accessesOf(factsOf(request, defaultBrokerConfig.brokerClusterName, (name) => name === 'others'));
    for (const { kind, name } of asked) {
      const isOwn = (kind === 'Topic' && name.startsWith('own')) || (kind === 'Group' && name === 'own');
      const isReadable = kind === 'Topic' && asked.every(({ actions }) => actions.includes('Get'));
      if (!isOwn && !isReadable) throw new Find(`${kind}:${name} was given to alice: ${what}`);
    }
  }
}

export const access: Target = {
  name: 'access',
  sessionRounds: 1_000,
  open: () => {
    const gate = new Gate();
    return Promise.resolve({
      round: (random) => {
        const act = random.pick([policies, file, (one: Random) => gate.round(one), (one: Random) => gate.round(one)]);
        act(random);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  },
};
