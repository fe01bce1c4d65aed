import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { test } from 'node:test';
import { parseAddress } from '@vernier/remoting';
import { BrokerHosts, firstExternalAddress } from '../../src/registration/hosts.ts';

const hosts = (more: object = {}) =>
  new BrokerHosts({ configuredHost: '', bindAddress: '10.1.2.3', port: 10_911, storePort: 10_911, ...more });

test('hosts: what the user set goes before what is listened on; all addresses stand for one that can be reached', () => {
  assert.equal(hosts({ configuredHost: 'broker.example', bindAddress: '0.0.0.0' }).host, 'broker.example');
  assert.equal(hosts().host, '10.1.2.3');
  for (const bindAddress of ['', '0.0.0.0', '::', '*']) {
    const { host } = hosts({ bindAddress });
    assert.equal(host, firstExternalAddress(), bindAddress);
    assert.ok(isIPv4(host), 'and never for all addresses again');
  }
});

test('hosts: records carry the remembered port, registrations the one that is listened on', () => {
  const moved = hosts({ port: 20_000 });
  assert.equal(moved.address, '10.1.2.3:20000');
  assert.equal(moved.storeHost.port, 10_911);
  assert.equal(moved.messageIdPrefix, '0A01020300002A9F');
});

test('hosts: an address of IPv6 is one that can be read back', () => {
  const six = hosts({ bindAddress: '::1' });
  assert.deepEqual(parseAddress(six.address), { host: '::1', port: 10_911 });
  assert.equal(six.messageIdPrefix.length, 40);
});

test('hosts: a host name is loopback in records, which hold no names', () => {
  assert.deepEqual([...hosts({ configuredHost: 'broker.example' }).storeHost.address], [127, 0, 0, 1]);
});

test('hosts: the place of replication is an address, or none when there is no port above', () => {
  assert.equal(hosts({ port: 65_534 }).haAddress, '10.1.2.3:65535');
  assert.equal(hosts({ port: 65_535 }).haAddress, '', 'nameservers refuse an address that is none');
});

test('hosts: what answers have in common is made again only when an operator changed it', () => {
  const broker = hosts();
  const form = broker.sendAnswerForm('r', true);
  assert.equal(broker.sendAnswerForm('r', true), form);
  const other = broker.sendAnswerForm('r', false);
  assert.notEqual(other, form);
  assert.deepEqual([other.region, other.traceOn], ['r', false]);
  assert.notEqual(broker.sendAnswerForm('s', false), other);
});
