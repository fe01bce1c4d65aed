import { grpcSuite } from './grpc-suite.ts';
import { goGrpcMissing, startGoGrpcClient } from './peers/go.ts';

grpcSuite({
  name: 'rocketmq-clients golang/v5 5.1.3',
  missing: goGrpcMissing(),
  start: startGoGrpcClient,
  tls: false,
  resumes: false,
  // It gives no handle.
  recall: false,
});
