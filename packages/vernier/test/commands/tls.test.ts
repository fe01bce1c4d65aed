import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Command } from 'commander';
import { Authority, writeIssued } from '../../../../test/support/certificates.ts';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { createProgram } from '../../src/program.ts';
import { endAfter, type Finished, Running, run, startBroker } from '../cli.ts';
import { command } from '../in-process.ts';

const set = (keys: Record<string, string>): string[] =>
  Object.entries(keys).flatMap(([key, value]) => ['--set', `${key}=${value}`]);

/** Certificates, and the keys of a broker that lets in by TLS alone those who have one of the authority. */
async function enforcing(t: TestContext) {
  const folder = await temporaryFolder(t, 'tls');
  const authority = await Authority.create();
  const ca = join(folder, 'authority.pem');
  writeFileSync(ca, authority.certificate);
  const server = writeIssued(folder, 'server', await authority.issue('server', { passphrase: 'secret' }));
  const client = writeIssued(folder, 'client', await authority.issue('client', { passphrase: 'other' }));
  const config = join(folder, 'tls.properties');
  writeFileSync(
    config,
    [
      ...[
        'tls.test.mode.enable=false',
        `tls.server.certPath=${server.certPath}`,
        `tls.server.keyPath=${server.keyPath}`,
      ],
      ...['tls.server.keyPassword=secret', 'tls.server.need.client.auth=require', 'tls.server.authClient=true'],
      `tls.server.trustCertPath=${ca}\n`,
    ].join('\n'),
  );
  return { folder, ca, client, keys: { 'tls.config.file': config, 'tls.server.mode': 'enforcing' } };
}

test('tls: a broker that enforces it, and a command with its flags', async (t) => {
  const { folder, ca, client, keys } = await enforcing(t);
  const broker = await startBroker(t, join(folder, 'data'), set(keys));
  const env = { NAMESRV_ADDR: broker.ready.namesrv!, VERNIER_TLS_KEY_PASSWORD: 'other' };
  const shown = ['--tls-cert', client.certPath, '--tls-key', client.keyPath];
  const known = ['--tls-ca', ca, ...shown];
  const vernier = (...args: string[]): Promise<Finished> => run(args, { env });

  const sent = await vernier('produce', 'a', '--body', 'secret message', ...known);
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal((await vernier('consume', 'a', ...known)).stdout, 'secret message\n');
  assert.equal((await vernier('consume', 'a', '--group', 'g', '--count', '1', ...known)).stdout, 'secret message\n');
  assert.match((await vernier('topic', 'list', ...known)).stdout, /^a\b/m);
  assert.equal((await vernier('topic', 'create', 'b', ...known)).code, 0);
  assert.match((await vernier('status', ...known)).stdout, /broker-a/);
  const insecure = await vernier('status', '--tls-insecure', ...shown);
  assert.equal(insecure.code, 0, insecure.stderr);

  for (const [what, args, code, pattern] of [
    ['in plaintext', [], 1, /does not answer: .*\[CLI_UNREACHABLE\]/],
    ['nobody vouches for the server', ['--tls', ...shown], 1, /does not answer.*--tls-ca takes the certificate/],
    ['without a certificate', ['--tls-ca', ca], 1, /\[CLI_UNREACHABLE\]/],
    ['under another name', [...known, '--tls-name', 'elsewhere'], 1, /--tls-name takes the name/],
    ['half a pair', ['--tls-cert', client.certPath], 2, /--tls-cert and --tls-key are given together/],
    ['both ways', [...known, '--tls-insecure'], 2, /--tls-insecure believes any server/],
    ['no such file', ['--tls-ca', join(folder, 'missing')], 2, /cannot be read: ENOENT \[REMOTING_TLS_INVALID\]/],
  ] as const) {
    const finished = await vernier('status', ...args);
    assert.deepEqual([finished.code, finished.stdout], [code, ''], `${what}: ${finished.stderr}`);
    assert.match(finished.stderr, pattern, what);
  }
  assert.equal(`${broker.stdout}${broker.stderr}`.includes('secret'), false, 'a password is shown to nobody');
});

/** Every command that asks a nameserver, and arguments with which it succeeds after those in front of it. */
const ASKING: readonly (readonly [name: string, ...args: string[]])[] = [
  ['produce', 'a', '--body', 'x'],
  ['consume', 'a'],
  ['topic create', 'b'],
  ['topic list'],
  ['topic status', 'b'],
  ['topic delete', 'b'],
  ['user create', 'alice'],
  ['user update', 'alice', '--status', 'enable'],
  ['user get', 'alice'],
  ['user list'],
  ['acl create', 'alice', '--resource', 'Topic:a', '--actions', 'Pub'],
  ['acl update', 'alice', '--resource', 'Topic:b', '--actions', 'Pub'],
  ['acl get', 'alice'],
  ['acl list'],
  ['acl delete', 'alice'],
  ['user delete', 'alice'],
  ['acl export'],
  ['acl import', 'FILE'],
  ['status'],
  ['store import'],
];

test('tls: every command that asks a server shows its certificate, and none gets by without', async (t) => {
  const { folder, ca, client, keys } = await enforcing(t);
  const broker = await startBroker(t, join(folder, 'data'), set(keys));
  const before = process.env.VERNIER_TLS_KEY_PASSWORD;
  process.env.VERNIER_TLS_KEY_PASSWORD = 'other';
  cleanUp(t, async () => {
    if (before === undefined) delete process.env.VERNIER_TLS_KEY_PASSWORD;
    else process.env.VERNIER_TLS_KEY_PASSWORD = before;
  });
  const file = join(folder, 'access.json');
  const bob = { username: 'bob', password: 'bob-secret', userType: 'Normal', userStatus: 'enable' };
  writeFileSync(file, JSON.stringify({ users: [bob], acls: [] }));
  for (const [name, ...rest] of ASKING) {
    const args = [...name.split(' '), ...rest.map((one) => (one === 'FILE' ? file : one))];
    const at = [...args, '--namesrv', broker.ready.namesrv!];
    // For the one that reads messages from there.
    const input = JSON.stringify({ topic: 'a', queueId: 0, bornTimestamp: 1, body: 'x' });
    for (const more of [[], ['--tls-ca', ca]]) {
      const refused = await command([...at, ...more], { input });
      assert.equal(refused.code, 1, name);
      assert.match(refused.stderr, /^[^\n]* does not answer: [^\n]*\n$/, `${name}: one line`);
    }
    const known = ['--tls-ca', ca, '--tls-cert', client.certPath, '--tls-key', client.keyPath];
    const { code, stderr } = await command([...at, ...known], { input });
    assert.equal(code, 0, `${name}: ${stderr}`);
  }
  const has = (of: Command, option: string): boolean => of.options.some(({ long }) => long === option);
  // What listens itself asks for as long as it runs: the proxy alone, whose own tests go by TLS.
  const named = (of: Command, path: string): string[] => [
    ...(has(of, '--namesrv') && !has(of, '--listen') ? [path] : []),
    ...of.commands.flatMap((child) => named(child, `${path} ${child.name()}`.trim())),
  ];
  const asking = named(
    createProgram(() => {}),
    '',
  );
  assert.deepEqual(ASKING.map(([name]) => name).sort(), asking.sort());
});

test('tls: a start with files that cannot be used says why, and makes nothing', async (t) => {
  const folder = await temporaryFolder(t, 'tls');
  const authority = await Authority.create();
  const [one, two] = [await authority.issue('one'), await authority.issue('two')];
  const { certPath } = writeIssued(folder, 'one', one);
  const { keyPath } = writeIssued(folder, 'two', two);
  const dataDir = join(folder, 'data');
  for (const [keys, pattern] of [
    [{ 'tls.server.certPath': certPath, 'tls.server.keyPath': keyPath }, /the key is not that of the certificate/],
    [{ 'tls.server.certPath': certPath }, /tls\.server\.certPath is given without tls\.server\.keyPath/],
    [{ 'tls.server.mode': 'enforcing', 'tls.test.mode.enable': 'false' }, /needs tls\.server\.certPath/],
    [{ 'tls.server.mode': 'always' }, /allowed are disabled, permissive, enforcing/],
    [{ 'tls.server.need.client.auth': 'maybe' }, /allowed are none, optional, require/],
    [{ 'tls.config.file': join(folder, 'missing') }, /missing cannot be read: ENOENT/],
    [{ 'tls.server.keypath': keyPath }, /there is no key tls\.server\.keypath; did you mean tls\.server\.keyPath/],
  ] as const) {
    const finished = await run(['start', dataDir, ...set(keys)]);
    assert.deepEqual([finished.code, finished.stdout], [2, ''], finished.stderr);
    assert.match(finished.stderr, pattern);
  }
  const typo = join(folder, 'typo.properties');
  writeFileSync(typo, 'tls.server.certpath=x\n');
  const mistyped = await run(['start', dataDir, ...set({ 'tls.config.file': typo })]);
  assert.match(mistyped.stderr, /typo\.properties line 1: there is no key tls\.server\.certpath/);
  for (const flags of [
    ['--proxy-cert', certPath],
    ['--proxy-cert', certPath, '--proxy-key', keyPath],
  ]) {
    const finished = await run(['start', dataDir, ...flags]);
    assert.deepEqual([finished.code, finished.stdout], [2, ''], finished.stderr);
    assert.match(finished.stderr, /given together|the key is not that of the certificate/);
  }
  assert.equal(existsSync(dataDir), false);
});

test('tls: a broker registers by TLS with a nameserver that asks for it', async (t) => {
  const folder = await temporaryFolder(t, 'tls');
  const authority = await Authority.create();
  const ca = join(folder, 'authority.pem');
  writeFileSync(ca, authority.certificate);
  const server = writeIssued(folder, 'server', await authority.issue('server'));
  const client = writeIssued(folder, 'client', await authority.issue('client'));
  const readyFile = join(folder, 'namesrv.json');
  const namesrv = new Running([
    ...['namesrv', '--namesrv-port', '0', '--ready-file', readyFile],
    ...set({
      ...{
        'tls.server.mode': 'enforcing',
        'tls.server.certPath': server.certPath,
        'tls.server.keyPath': server.keyPath,
      },
      ...{ 'tls.server.need.client.auth': 'require', 'tls.server.authClient': 'true', 'tls.server.trustCertPath': ca },
    }),
  ]);
  endAfter(t, namesrv);
  await namesrv.printed(/^ready after/m);
  const { namesrv: address } = JSON.parse(readFileSync(readyFile, 'utf8')) as { namesrv: string };
  const broker = await startBroker(t, join(folder, 'data'), [
    '--no-namesrv',
    ...set({
      ...{ namesrvAddr: address, 'tls.enable': 'true', 'tls.client.trustCertPath': ca },
      ...{ 'tls.client.certPath': client.certPath, 'tls.client.keyPath': client.keyPath },
    }),
  ]);
  const flags = ['--tls-ca', ca, '--tls-cert', client.certPath, '--tls-key', client.keyPath];
  const env = { NAMESRV_ADDR: address };
  // The broker makes a certificate of its own, which the authority does not vouch for.
  const status = await run(['status', '--tls-insecure', ...flags.slice(2), '--json'], { env });
  assert.equal(status.code, 0, status.stderr);
  assert.ok(status.stdout.includes(broker.ready.broker!));
  assert.equal((await run(['topic', 'list', ...flags], { env })).code, 0);
  const refused = await run(['namesrv', ...set({ brokerName: 'x' })]);
  assert.deepEqual([refused.code, refused.stdout], [2, '']);
  assert.match(refused.stderr, /a nameserver has no key brokerName, only those of TLS and access control/);
});
