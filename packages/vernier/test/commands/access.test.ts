import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import type { Finished } from '../cli.ts';
import { assertFails, command, localBroker } from '../in-process.ts';

const ON = [
  'authenticationEnabled=true',
  'authorizationEnabled=true',
  'initAuthenticationUser={"username":"root","password":"root-secret"}',
];

/** A broker that wants signatures, a file that signs as root, and the command with it. */
async function secured(t: TestContext) {
  const folder = await temporaryFolder(t, 'access');
  const { namesrv } = await localBroker(t, ON);
  const credentials = join(folder, 'root.properties');
  writeFileSync(credentials, 'accessKey=root\nsecretKey=root-secret\n');
  const at = ['--namesrv', namesrv];
  const as = (user: string, secret = `${user}-secret`) => ['--access-key', user, '--secret-key', secret];
  const vernier = (...args: string[]): Promise<Finished> => command([...args, ...at, '--credentials', credentials]);
  return { folder, namesrv, at, as, vernier };
}

async function done(finished: Promise<Finished>): Promise<string> {
  const { code, stdout, stderr } = await finished;
  assert.equal(code, 0, stderr);
  return stdout;
}

test('user and acl: made, shown, changed and deleted; what each may do counts at once', async (t) => {
  const { folder, at, as, vernier } = await secured(t);
  const file = join(folder, 'secret');
  writeFileSync(file, 'alice-secret\n');
  assert.equal(await done(vernier('user', 'create', 'alice', '--password-file', file)), 'alice: created\n');
  const made = JSON.parse(await done(vernier('user', 'create', 'bob', '--type', 'Super', '--json'))) as {
    secretKey: string;
  };
  assert.match(made.secretKey, /^[\w-]{24}$/);
  await done(command(['topic', 'list', ...at, ...as('bob', made.secretKey)]));
  assert.equal(
    await done(vernier('user', 'list')),
    'USER   TYPE    STATUS\nroot   Super   enable\nalice  Normal  enable\nbob    Super   enable\n',
  );
  assert.deepEqual(JSON.parse(await done(vernier('user', 'get', 'alice', '--json'))), {
    ...{ username: 'alice', password: 'alice-secret', userType: 'Normal', userStatus: 'enable' },
  });
  const produce = () => command(['produce', 'orders', '--body', 'x', ...at, ...as('alice')]);
  assertFails(await produce(), 1, 'CLI_REFUSED', /NO_PERMISSION \(16\).*Topic:orders/);
  const put = [
    '--resource',
    'Topic:orders*',
    '--resource',
    'Group:g',
    '--actions',
    'Pub,Sub',
    '--source-ip',
    '127.0.0.0/8',
  ];
  assert.equal(await done(vernier('acl', 'create', 'alice', ...put)), 'User:alice: 2 entries put\n');
  assert.match(await done(produce()), /^1 message acknowledged/);
  const shown = await done(vernier('acl', 'get', 'alice'));
  assert.match(shown, /^User:alice +Custom +Topic:orders\* +Pub,Sub +127\.0\.0\.0\/8 +Allow$/m);
  assert.equal(
    await done(vernier('acl', 'list', '--user', 'alice', '--resource', 'orders')),
    shown.replace(/.*Group:g.*\n/, ''),
  );
  await done(
    vernier('acl', 'update', 'alice', '--resource', 'Topic:orders*', '--actions', 'Pub', '--decision', 'Deny'),
  );
  assertFails(await produce(), 1, 'CLI_REFUSED', /the decision is deny/);
  await done(vernier('acl', 'delete', 'alice', '--resource', 'Topic:orders*'));
  assertFails(await produce(), 1, 'CLI_REFUSED', /no matched policies/);
  await done(vernier('user', 'update', 'alice', '--status', 'disable'));
  assertFails(await produce(), 1, 'CLI_REFUSED', /disabled/);
  await done(vernier('user', 'delete', 'alice'));
  assertFails(await produce(), 1, 'CLI_REFUSED', /check signature failed/);
  assertFails(await vernier('user', 'get', 'alice'), 1, 'CLI_REFUSED', /there is no user alice/);
});

test('acl export and import: users, secrets and policies come over; a file is for its user alone', async (t) => {
  const one = await secured(t);
  await done(one.vernier('user', 'create', 'alice'));
  await done(one.vernier('acl', 'create', 'alice', '--resource', 'Topic:T', '--actions', 'All'));
  const file = join(one.folder, 'access.json');
  assert.match(
    await done(one.vernier('acl', 'export', '--output', file)),
    /^2 users and the policies of 1 written to /,
  );
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600);
  assertFails(await one.vernier('acl', 'export', '--output', file), 2, 'CLI_OUTPUT_UNWRITABLE', /is there already/);
  const other = await secured(t);
  assert.equal(await done(other.vernier('acl', 'import', file)), '2 users and the policies of 1 imported\n');
  assert.equal(await done(other.vernier('acl', 'export')), readFileSync(file, 'utf8'));
  assert.equal(await done(other.vernier('acl', 'import', file)), '2 users and the policies of 1 imported\n', 'again');
  writeFileSync(file, '{"users":[{"username":"x"}]}');
  assertFails(await other.vernier('acl', 'import', file), 2, 'CLI_CONFIG_INVALID', /nothing was imported/);
});

test('acl export: who is no Super gets no copy without secrets', async (t) => {
  const { at, as, vernier, folder } = await secured(t);
  const file = join(folder, 'secret');
  writeFileSync(file, 'carol-secret');
  await done(vernier('user', 'create', 'carol', '--password-file', file));
  await done(vernier('acl', 'create', 'carol', '--resource', 'Cluster:*', '--actions', 'Get'));
  assertFails(await command(['acl', 'export', ...at, ...as('carol')]), 1, 'CLI_REFUSED', /shows no secret of root/);
});

test('acl import: accounts of RocketMQ 4, with what is left out', async (t) => {
  const { folder, vernier } = await secured(t);
  const file = join(folder, 'plain_acl.yml');
  const text = `
globalWhiteRemoteAddresses:
- 10.10.103.*
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  whiteRemoteAddress:
  admin: false
  defaultTopicPerm: DENY
  defaultGroupPerm: SUB
  topicPerms:
  - topicA=DENY
  - topicB=PUB|SUB
  groupPerms:
  - groupA=DENY
  - "%RETRY%groupB=SUB"
- accessKey: rocketmq2
  secretKey: "abcdefgh"
  whiteRemoteAddress: 192.168.1.*
  admin: true
`;
  writeFileSync(file, text);
  const imported = await vernier('acl', 'import', file);
  assert.equal(imported.stdout, '2 users and the policies of 1 imported\n');
  assert.match(imported.stderr, /left out: globalWhiteRemoteAddresses.*\n.*left out: whiteRemoteAddress of rocketmq2/);
  const users = JSON.parse(await done(vernier('user', 'list', '--json'))) as { username: string }[];
  assert.deepEqual(users.slice(1), [
    { username: 'RocketMQ', password: '12345678', userType: 'Normal', userStatus: 'enable' },
    { username: 'rocketmq2', password: 'abcdefgh', userType: 'Super', userStatus: 'enable' },
  ]);
  const entry = (resource: string, actions: string[], decision: string) => ({
    resource,
    actions,
    sourceIps: [],
    decision,
  });
  assert.deepEqual(JSON.parse(await done(vernier('acl', 'get', 'RocketMQ', '--json'))), [
    {
      subject: 'User:RocketMQ',
      policies: [
        {
          policyType: 'Custom',
          entries: [
            entry('Topic:topicA', ['All'], 'Deny'),
            entry('Topic:topicB', ['Pub', 'Sub'], 'Allow'),
            entry('Group:groupA', ['All'], 'Deny'),
            entry('Group:groupB', ['Sub'], 'Allow'),
          ],
        },
        { policyType: 'Default', entries: [entry('Topic:*', ['All'], 'Deny'), entry('Group:*', ['Sub'], 'Allow')] },
      ],
    },
  ]);
  for (const [bad, why] of [
    [text.replace('topicB=PUB|SUB', 'topicB=WRITE'), /Topic:topicB=WRITE: permissions are/],
    [text.replace('topicB=PUB|SUB', 'topicB'), /is no NAME=PERMISSION/],
    [text.replace('accessKey: RocketMQ', 'accessKey:'), /account 1 has no accessKey/],
    [text.replace('secretKey: 12345678', 'secretKey: 1e999'), /secretKey of RocketMQ is no text/],
    ['accounts: [', /nothing was imported/],
    ['accounts: &a [*a]', /nothing was imported/],
  ] as const) {
    writeFileSync(file, bad);
    assertFails(await vernier('acl', 'import', file), 2, 'CLI_CONFIG_INVALID', why);
  }
});

test('signing: by file, flag and variable; half of it is refused before anything is asked', async (t) => {
  const { folder, at, as } = await secured(t);
  const yaml = join(folder, 'tools.yml');
  writeFileSync(yaml, 'accessKey: root\nsecretKey: root-secret\n');
  await done(command(['topic', 'list', ...at, '--credentials', yaml]));
  assertFails(await command(['topic', 'list', ...at]), 1, 'CLI_REFUSED', /not signed/);
  assertFails(await command(['topic', 'list', ...at, '--access-key', 'root']), 2, 'CLI_USAGE', /no secret key/);
  assertFails(await command(['topic', 'list', ...at, ...as('root', 'x')]), 1, 'CLI_REFUSED', /check signature failed/);
  writeFileSync(yaml, 'accessKey: root\n');
  assertFails(await command(['topic', 'list', ...at, '--credentials', yaml]), 2, 'CLI_USAGE', /none secretKey/);
  const missing = join(folder, 'missing');
  assertFails(await command(['topic', 'list', ...at, '--credentials', missing]), 2, 'CLI_INPUT_UNREADABLE', /ENOENT/);
  cleanUp(t, () => {
    delete process.env.VERNIER_ACCESS_KEY;
    delete process.env.VERNIER_SECRET_KEY;
  });
  Object.assign(process.env, { VERNIER_ACCESS_KEY: 'root', VERNIER_SECRET_KEY: 'root-secret' });
  await done(command(['status', ...at]));
});

test('user create: a secret from stdin is one line', async (t) => {
  const { at, as } = await secured(t);
  const create = (user: string, input: string) =>
    command(['user', 'create', user, '--password-file', '-', ...at, ...as('root')], { input });
  assert.equal(await done(create('dave', 'dave-secret\r\n')), 'dave: created\n');
  await done(command(['consume', 'x', '--count', '1', ...at, ...as('root')]).then((ended) => ({ ...ended, code: 0 })));
  for (const input of ['', '\n', 'a\nb\n', 'x'.repeat(5_000)]) {
    assertFails(await create('eve', input), 2, 'CLI_USAGE', /a secret is one line/);
  }
  assertFails(await command(['user', 'update', 'dave', ...at, ...as('root')]), 2, 'CLI_USAGE', /nothing to change/);
});

test('init --secure: what it writes starts a broker that its first user signs in at, and is written over nothing', async (t) => {
  const folder = join(await temporaryFolder(t, 'access'), 'conf');
  const written = await command(['init', folder, '--secure', '--json']);
  const { config, credentials, certificate, user } = JSON.parse(written.stdout) as Record<string, string>;
  assert.equal(user, 'admin');
  if (process.platform !== 'win32') {
    for (const file of [config!, credentials!, join(folder, 'server-key.pem')])
      assert.equal(statSync(file).mode & 0o777, 0o600);
  }
  const settings = readFileSync(config!, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const { namesrv } = await localBroker(t, settings);
  const signed = ['--namesrv', namesrv, '--credentials', credentials!];
  const known = ['--tls-ca', certificate!];
  assert.match(await done(command(['topic', 'list', '--all', ...signed, ...known])), /TBW102/);
  assertFails(await command(['topic', 'list', '--namesrv', namesrv, ...known]), 1, 'CLI_REFUSED', /not signed/);
  // Signed and in plaintext: whoever reads along could send it again.
  assertFails(await command(['topic', 'list', ...signed]), 1, 'CLI_UNREACHABLE', /127/);
  const before = readFileSync(config!, 'utf8');
  assertFails(
    await command(['init', folder, '--secure']),
    2,
    'CLI_OUTPUT_UNWRITABLE',
    /is there already; nothing was written/,
  );
  assert.equal(readFileSync(config!, 'utf8'), before);
  const bad = await command(['init', folder, '--secure', '--user', 'a b']);
  assertFails(bad, 2, 'CLI_USAGE', /letters, digits/);
});
