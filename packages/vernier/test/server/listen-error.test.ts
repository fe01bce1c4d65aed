import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemotingError } from '@vernier/remoting';
import { CliError } from '../../src/errors.ts';
import { listenError } from '../../src/server/listen-error.ts';

test('listen error: each cause names the server, the address and the flag that helps, and keeps its cause', () => {
  for (const [code, ours, pattern] of [
    [
      'REMOTING_PORT_IN_USE',
      'CLI_PORT_IN_USE',
      /^the broker cannot listen on h:1: .*EADDRINUSE.*--broker-port, 0 is any$/,
    ],
    ['REMOTING_PORT_FORBIDDEN', 'CLI_ADDRESS_UNUSABLE', /^the broker cannot listen on h:1: .*EACCES.*1024/],
    [
      'REMOTING_ADDRESS_UNAVAILABLE',
      'CLI_ADDRESS_UNUSABLE',
      /h:1: it is no address of this machine; --listen takes one$/,
    ],
  ] as const) {
    const cause = new RemotingError(code, 'as told', { errno: -98 });
    const error = listenError(cause, 'broker', 'h', 1) as CliError;
    assert.ok(error instanceof CliError);
    assert.deepEqual([error.code, error.cause, error.details], [ours, cause, { host: 'h', port: 1, errno: -98 }]);
    assert.match(error.message, pattern);
  }
  const inUse = new RemotingError('REMOTING_PORT_IN_USE', 'as told');
  assert.match((listenError(inUse, 'nameserver', 'h', 1) as Error).message, /the nameserver .*--namesrv-port/);
});

test('listen error: what has nothing to do with listening is not made to look like it', () => {
  const others = [
    new RemotingError('REMOTING_CLOSED', 'x'),
    new CliError('CLI_USAGE', 'x'),
    new TypeError('x'),
    'text',
    undefined,
  ];
  for (const error of others) assert.equal(listenError(error, 'broker', 'h', 1), error);
});
