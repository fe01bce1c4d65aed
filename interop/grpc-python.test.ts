import { grpcSuite } from './grpc-suite.ts';
import { pythonMissing, startPythonGrpcClient } from './peers/python.ts';

grpcSuite({
  name: 'rocketmq-python-client 5.1.2',
  missing: pythonMissing(),
  start: startPythonGrpcClient,
  // It checks certificates against those that the machine trusts.
  tls: false,
  resumes: false,
});
