import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatAddress, parseAddress, plainHost } from '../../src/net/address.ts';

it('addresses: text to parts and back, IPv6 in brackets', () => {
  for (const address of ['127.0.0.1:10911', 'broker.example:1', '[::1]:65535']) {
    const { host, port } = parseAddress(address);
    assert.equal(formatAddress(host, port), address);
  }
  assert.deepEqual(parseAddress('[fe80::1]:9876'), { host: 'fe80::1', port: 9876 });
});

it('addresses: an IPv4 peer of a dual-stack socket shows as IPv4', () => {
  assert.equal(plainHost('::ffff:10.1.2.3'), '10.1.2.3');
  assert.equal(plainHost('::ffff:0'), '::ffff:0');
  assert.equal(plainHost('fe80::1'), 'fe80::1');
});
