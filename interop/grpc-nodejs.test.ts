import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { grpcSuite } from './grpc-suite.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, startBrokerWithProxy, updateTopic } from './peers/brokers.ts';
import { startNodeProgram } from './peers/client-peer.ts';
import { repositoryRoot } from './peers/java.ts';

grpcSuite({
  name: 'rocketmq-client-nodejs 1.0.8',
  missing: undefined,
  start: () => startNodeProgram('grpc'),
  // It checks certificates against those that the machine trusts.
  tls: false,
});

// The first message makes the topic of one of them, which RocketMQ's proxy does not do.
const skip = brokerKind === 'apache' && 'they are written for `npm start`';

describe('programs of examples/clients/grpc-node', { skip }, () => {
  let broker: BrokerPeer;
  before(async () => {
    broker = await startBrokerWithProxy();
    // `vernier topic create delay-grpc --type DELAY`
    for (const [topic, type] of [
      ['delay-grpc', 'DELAY'],
      ['transaction-grpc', 'TRANSACTION'],
    ] as const) {
      assert.equal((await updateTopic(broker, topic, 4, `+message.type=${type}`)).code, 0);
    }
  });
  after(() => broker?.stop());

  for (const [name, line] of [
    ['hello', 'got: hello'],
    ['delay', 'later, after its time'],
    ['transaction', 'got: order 42'],
  ] as const) {
    it(name, () => {
      const program = join(repositoryRoot, 'examples', 'clients', 'grpc-node', `${name}.mjs`);
      const options = { encoding: 'utf8', timeout: 60_000 } as const;
      const { stdout, stderr, status } = spawnSync(process.execPath, [program, broker.proxyAddr], options);
      assert.equal(status, 0, stderr);
      assert.equal(stdout, `${line}\n`);
    });
  }
});
