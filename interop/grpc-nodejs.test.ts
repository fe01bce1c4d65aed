import { grpcSuite } from './grpc-suite.ts';
import { startNodeProgram } from './peers/client-peer.ts';

grpcSuite({
  name: 'rocketmq-client-nodejs 1.0.8',
  missing: undefined,
  start: () => startNodeProgram('grpc'),
  // It checks certificates against those that the machine trusts.
  tls: false,
});
