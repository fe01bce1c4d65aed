/**
 * TLS on the ports of broker and nameserver with Apache's own client and `mqadmin` (5.5.0), and with openssl. The same
 * programs and the same keys against Apache RocketMQ (`--broker apache`) and Vernier.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { Authority, writeIssued } from '../test/support/certificates.ts';
import { assertAllOnce } from './client-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createTopic, startTlsBroker } from './peers/brokers.ts';
import {
  type ClientPeer,
  type ReceiveReport,
  type SendReport,
  startJavaClient,
  startMqAdmin,
} from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { askByTls } from './peers/remoting-ask.ts';
import { skipUnless, unique } from './peers/suite.ts';

const messageCount = 300;

/** Sends and receives everything once. */
async function exchange(client: ClientPeer, namesrv: string, topic: string): Promise<void> {
  const [name, run] = [unique('client'), unique('run')];
  await client.call('producer.start', { name, group: unique('pgroup'), namesrv });
  await client.call('consumer.start', { name: `${name}-c`, group: unique('group'), namesrv, topic, run });
  const sent = await client.call<SendReport>('producer.send', { name, topic, run, mode: 'async', count: messageCount });
  assert.deepEqual([sent.status, sent.errors], [{ SEND_OK: messageCount }, {}]);
  await client.call('consumer.await', { name: `${name}-c`, distinct: messageCount });
  assertAllOnce(await client.call<ReceiveReport>('consumer.stop', { name: `${name}-c` }), messageCount);
  await client.call('producer.stop', { name });
}

/** Not one message of a client gets in. */
async function assertRefused(client: ClientPeer, namesrv: string, topic: string): Promise<void> {
  const name = unique('client');
  const values = { name, group: unique('pgroup'), namesrv, retries: 0, sendMsgTimeout: 2_000 };
  // To be refused at the start is as good.
  const started = await client.call('producer.start', values).then(
    () => true,
    () => false,
  );
  if (!started) return;
  const report = await client.call<SendReport>('producer.send', { name, topic, run: name, mode: 'sync', count: 1 });
  assert.deepEqual(report.status, {});
  assert.equal(Object.keys(report.errors).length, 1);
}

async function assertAdmin(admin: ClientPeer, broker: BrokerPeer): Promise<void> {
  const line = `clusterList -n ${broker.namesrvAddr}`;
  const { out, err } = await admin.call<{ out: string; err: string }>('mqadmin', { line });
  assert.equal(err, '');
  assert.match(out, new RegExp(`broker-a\\s+0\\s+${broker.brokerAddr}`));
  const status = await admin.call<{ out: string; err: string }>('mqadmin', {
    line: `brokerStatus -b ${broker.brokerAddr} -n ${broker.namesrvAddr}`,
  });
  assert.equal(status.err, '');
  assert.match(status.out, /msgPutTotalTodayNow/);
}

/** What `openssl s_client` agreed on; undefined when there was no handshake. */
function handshake(address: string, ...flags: string[]): { version: string; cipher: string } | undefined {
  const args = ['s_client', '-connect', address, ...flags];
  const { stdout } = spawnSync('openssl', args, { input: '', encoding: 'utf8', timeout: 10_000 });
  const found = /^\s*(?:New, )?(TLSv[\d.]+), Cipher is (\S+)$/m.exec(stdout);
  return found === null || found[2] === '(NONE)' ? undefined : { version: found[1]!, cipher: found[2]! };
}

describe(`TLS with ${brokerKind}`, { skip: skipUnless(javaMissing()), timeout: 600_000 }, () => {
  let folder: string;
  let authority: Authority;
  let keys: Record<'server' | 'known' | 'stranger', { certPath: string; keyPath: string }>;
  let trustCertPath: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-tls-'));
    authority = await Authority.create();
    const strangers = await Authority.create('strangers');
    trustCertPath = join(folder, 'authority.pem');
    writeFileSync(trustCertPath, authority.certificate);
    const write = async (by: Authority, name: string) => writeIssued(folder, name, await by.issue(name));
    keys = {
      server: await write(authority, 'server'),
      known: await write(authority, 'known'),
      stranger: await write(strangers, 'stranger'),
    };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function broker(t: TestContext, properties: Record<string, string>): Promise<BrokerPeer> {
    const started = await startTlsBroker(properties);
    t.after(() => started.stop());
    return started;
  }

  function java(t: TestContext, properties: Record<string, string>, start = startJavaClient): ClientPeer {
    const client = start('5.5.0', properties);
    t.after(() => client.stop());
    return client;
  }
  const admin = (t: TestContext, properties: Record<string, string>): ClientPeer =>
    java(t, properties, (_, given) => startMqAdmin(given));

  it('as it comes: a client with tls.enable=true and one in plaintext, and mqadmin', async (t) => {
    const peer = await broker(t, {});
    for (const topic of ['by_tls', 'in_plaintext']) await createTopic(peer, topic);
    await exchange(java(t, { 'tls.enable': 'true' }), peer.namesrvAddr, 'by_tls');
    await exchange(java(t, {}), peer.namesrvAddr, 'in_plaintext');
    await assertAdmin(admin(t, { 'tls.enable': 'true' }), peer);
    for (const address of [peer.brokerAddr, peer.namesrvAddr]) {
      assert.equal(handshake(address, '-tls1_3')?.version, 'TLSv1.3');
      assert.equal(handshake(address, '-tls1_2')?.version, 'TLSv1.2');
      assert.match(handshake(address)!.cipher, /GCM|POLY1305/);
      for (const old of ['-tls1', '-tls1_1']) {
        assert.equal(handshake(address, old, '-cipher', 'ALL:@SECLEVEL=0'), undefined, old);
      }
    }
  });

  it('certificates of one’s own, and clients that must have one of the authority', async (t) => {
    const peer = await broker(t, {
      'tls.test.mode.enable': 'false',
      ...{ 'tls.server.certPath': keys.server.certPath, 'tls.server.keyPath': keys.server.keyPath },
      ...{ 'tls.server.need.client.auth': 'require', 'tls.server.authClient': 'true' },
      'tls.server.trustCertPath': trustCertPath,
    });
    await createTopic(peer, 'mutual');
    const trusting = {
      ...{ 'tls.enable': 'true', 'tls.test.mode.enable': 'false' },
      ...{ 'tls.client.authServer': 'true', 'tls.client.trustCertPath': trustCertPath },
    };
    const shown = ({ certPath, keyPath }: { certPath: string; keyPath: string }): Record<string, string> => ({
      ...trusting,
      ...{ 'tls.client.certPath': certPath, 'tls.client.keyPath': keyPath },
    });
    await exchange(java(t, shown(keys.known)), peer.namesrvAddr, 'mutual');
    await assertAdmin(admin(t, shown(keys.known)), peer);
    await assertRefused(java(t, trusting), peer.namesrvAddr, 'mutual');
    await assertRefused(java(t, shown(keys.stranger)), peer.namesrvAddr, 'mutual');
  });

  it('enforcing: by TLS everything, in plaintext nothing', async (t) => {
    askByTls({});
    t.after(() => askByTls(undefined));
    // Java's broker registers as a client does.
    const peer = await broker(t, { 'tls.server.mode': 'enforcing', 'tls.enable': 'true' });
    await createTopic(peer, 'enforced');
    await exchange(java(t, { 'tls.enable': 'true' }), peer.namesrvAddr, 'enforced');
    await assertRefused(java(t, {}), peer.namesrvAddr, 'enforced');
  });

  it('disabled: in plaintext everything, by TLS nothing', async (t) => {
    const peer = await broker(t, { 'tls.server.mode': 'disabled' });
    await createTopic(peer, 'plain');
    await exchange(java(t, {}), peer.namesrvAddr, 'plain');
    await assertRefused(java(t, { 'tls.enable': 'true' }), peer.namesrvAddr, 'plain');
  });
});
