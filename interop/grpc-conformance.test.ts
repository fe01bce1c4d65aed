import { grpcChapters, grpcConfig, PREFIX } from './conformance/grpc/chapters.ts';
import { conformanceRun } from './conformance-run.ts';
import { startBrokerWithProxy } from './peers/brokers.ts';
import { javaMissing } from './peers/java.ts';

conformanceRun({
  name: 'conformance of the gRPC protocol with Apache’s proxy 5.5.0',
  part: 'grpc conformance',
  chapters: grpcChapters,
  prefix: PREFIX,
  missing: javaMissing(),
  start: (kind) => startBrokerWithProxy(grpcConfig, kind),
});
