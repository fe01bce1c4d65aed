import { grpcSuite } from './grpc-suite.ts';
import { startJavaGrpcClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';

grpcSuite({
  name: 'rocketmq-client-java 5.0.8',
  missing: javaMissing(),
  start: startJavaGrpcClient,
  tls: true,
});
