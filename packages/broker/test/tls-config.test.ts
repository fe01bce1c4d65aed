import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveTls } from '../src/tls-config.ts';

const pair = { 'tls.server.certPath': 'c', 'tls.server.keyPath': 'k' } as const;

test('tls config: nothing said is a self-signed certificate beside plaintext, as in RocketMQ', () => {
  const { server, client, warnings } = resolveTls({});
  assert.deepEqual(
    [server.mode, server.certPath, server.clientAuth, server.verifyClients],
    [...['permissive', undefined, 'none'], false],
  );
  assert.deepEqual([client, warnings], [undefined, []]);
});

test('tls config: a certificate that is configured is shown, without tls.test.mode.enable=false', () => {
  assert.equal(resolveTls(pair).server.certPath, 'c');
  assert.equal(resolveTls({ ...pair, 'tls.test.mode.enable': false }).server.certPath, 'c');
  const { server, warnings } = resolveTls({ ...pair, 'tls.test.mode.enable': true });
  assert.equal(server.certPath, undefined);
  assert.match(warnings.join(), /shows a self-signed certificate, and not c/);
});

test('tls config: without test mode and certificate there is no TLS, and none can be enforced', () => {
  assert.equal(resolveTls({ 'tls.test.mode.enable': false }).server.mode, 'disabled');
  assert.throws(
    () => resolveTls({ 'tls.test.mode.enable': false, 'tls.server.mode': 'enforcing' }),
    /needs tls\.server/,
  );
});

test('tls config: half a pair is refused, and authClient that checks nobody is told of', () => {
  assert.throws(() => resolveTls({ 'tls.server.keyPath': 'k' }), /keyPath is given without tls\.server\.certPath/);
  assert.throws(() => resolveTls({ 'tls.enable': true, 'tls.client.certPath': 'c' }), /certPath is given without/);
  assert.match(resolveTls({ 'tls.server.authClient': true }).warnings.join(), /checks nobody/);
  const asked = { 'tls.server.authClient': true, 'tls.server.need.client.auth': 'optional' } as const;
  assert.deepEqual(resolveTls(asked).warnings, []);
});

test('tls config: whom the broker believes when it connects', () => {
  const trustOf = (more: object): string | undefined => resolveTls({ 'tls.enable': true, ...more }).client?.trust;
  assert.equal(trustOf({}), 'any');
  assert.equal(trustOf({ 'tls.client.trustCertPath': 'ca' }), 'chain');
  assert.equal(trustOf({ 'tls.client.authServer': true }), 'chain');
  assert.equal(trustOf({ 'tls.client.trustCertPath': 'ca', 'tls.client.authServer': false }), 'any');
  assert.equal(trustOf({ 'tls.client.trustCertPath': 'ca', 'tls.test.mode.enable': true }), 'any');
  const { client } = resolveTls({ 'tls.enable': true, 'tls.client.certPath': 'c', 'tls.client.keyPath': 'k' });
  assert.deepEqual([client?.certPath, client?.keyPath], ['c', 'k']);
});
