import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { RemotingConnection } from '@vernier/remoting';
import { defaultGateway, reachableAddress } from '../../src/namesrv/reachable-address.ts';

const connection = (remoteHost: string, localHost: string): RemotingConnection =>
  ({ remoteHost, localHost }) as RemotingConnection;

it('reachable address: the local address of the socket the client asked on, with the broker’s port', () => {
  const resolve = reachableAddress({ containerGateway: undefined });
  assert.equal(resolve('0.0.0.0:10911', connection('10.0.0.9', '10.0.0.5')), '10.0.0.5:10911');
  assert.equal(resolve('0.0.0.0:10911', connection('127.0.0.1', '127.0.0.1')), '127.0.0.1:10911');
  assert.equal(resolve('[::]:10911', connection('fe80::9', 'fe80::5')), '[fe80::5]:10911');
});

it('reachable address: asked through the container’s gateway it is loopback', () => {
  const resolve = reachableAddress({ containerGateway: '172.17.0.1' });
  assert.equal(resolve('0.0.0.0:10911', connection('172.17.0.1', '172.17.0.2')), '127.0.0.1:10911');
  assert.equal(resolve('0.0.0.0:10911', connection('172.17.0.3', '172.17.0.2')), '172.17.0.2:10911');
});

it('default gateway: the gateway of the default route', () => {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
  const local = 'eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n';
  assert.equal(
    defaultGateway(`${head}eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n${local}`),
    '172.17.0.1',
  );
  assert.equal(defaultGateway(head + local), undefined);
  assert.equal(defaultGateway(''), undefined);
});
