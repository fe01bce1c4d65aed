import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { status as GrpcStatus, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor.js';
import { SERVICE, streamMethods, unaryMethods } from '../src/methods/index.ts';
import { Reflection } from '../src/reflection.ts';
import { type ReflectionResponse, ServingStatus, serviceCodecs } from '../src/wire/services.ts';
import { RawClient, startProxy } from './harness.ts';

const HEALTH = '/grpc.health.v1.Health';

function check(client: RawClient, service: string): Promise<number | undefined> {
  const { HealthCheckRequest: asked, HealthCheckResponse: answered } = serviceCodecs;
  return new Promise((resolve, reject) => {
    client.grpc.makeUnaryRequest(`${HEALTH}/Check`, asked.encode, answered.decode, { service }, (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer?.status ?? undefined);
    });
  });
}

test('health: the server and its services serve, others are not known, and nobody needs a client id', async (t) => {
  const { endpoint } = await startProxy(t);
  const client = new RawClient(t, endpoint, '');
  assert.equal(await check(client, ''), ServingStatus.SERVING);
  assert.equal(await check(client, SERVICE), ServingStatus.SERVING);
  const { code } = await check(client, 'other').then(
    () => assert.fail('it is not known'),
    (error: ServiceError) => error,
  );
  assert.equal(code, GrpcStatus.NOT_FOUND);
  const { HealthListRequest: asked, HealthListResponse: answered } = serviceCodecs;
  const list = await new Promise<object>((resolve, reject) => {
    client.grpc.makeUnaryRequest(`${HEALTH}/List`, asked.encode, answered.decode, {}, (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer?.statuses ?? {});
    });
  });
  assert.ok(SERVICE in list);
});

test('health: who watches is told when the proxy stops, and the stop does not wait for it', async (t) => {
  const { endpoint, proxy } = await startProxy(t, { proxy: { limits: { stopMs: 20_000 } } });
  const client = new RawClient(t, endpoint, '');
  const { HealthCheckRequest: asked, HealthCheckResponse: answered } = serviceCodecs;
  const watch = client.grpc.makeServerStreamRequest(`${HEALTH}/Watch`, asked.encode, answered.decode, { service: '' });
  const seen: (number | null | undefined)[] = [];
  watch.on('data', ({ status }) => seen.push(status));
  watch.on('error', () => {});
  await once(watch, 'data');
  const began = performance.now();
  const ended = once(watch, 'end');
  await Promise.all([proxy.stop(), ended]);
  assert.deepEqual(seen, [ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  assert.ok(performance.now() - began < 15_000);
});

/** What one reflection stream answers. */
async function reflect(client: RawClient, version: string, ...requests: object[]): Promise<ReflectionResponse[]> {
  const { ReflectionRequest: asked, ReflectionResponse: answered } = serviceCodecs;
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const stream = client.grpc.makeBidiStreamRequest(path, asked.encode, answered.decode);
  for (const request of requests) stream.write(request);
  stream.end();
  const answers: ReflectionResponse[] = [];
  for await (const answer of stream) answers.push(answer as ReflectionResponse);
  return answers;
}

test('reflection: it names the services, and their files can be put together by whoever asks', async (t) => {
  const { endpoint } = await startProxy(t);
  const client = new RawClient(t, endpoint, '');
  for (const version of ['v1', 'v1alpha']) {
    const [list, symbol, byName, none, extension] = await reflect(
      client,
      version,
      { listServices: '*' },
      { fileContainingSymbol: `${SERVICE}.SendMessage` },
      { fileByFilename: 'apache/rocketmq/v2/definition.proto' },
      { fileContainingSymbol: 'no.Such' },
      { fileContainingExtension: { containingType: 'a.B', extensionNumber: 1 } },
    );
    const names = list!.listServicesResponse!.service!.map(({ name }) => name);
    assert.ok(names.includes(SERVICE) && names.includes('grpc.health.v1.Health'), names.join());
    const files = symbol!.fileDescriptorResponse!.fileDescriptorProto!;
    const decoded = files.map(
      (bytes) => descriptor.FileDescriptorProto.decode(bytes) as descriptor.IFileDescriptorProto,
    );
    assert.equal(decoded[0]!.name, 'apache/rocketmq/v2/service.proto');
    const known = new Set(decoded.map(({ name }) => name));
    for (const { name, dependency } of decoded as { name: string; dependency: string[] }[]) {
      for (const other of dependency) assert.ok(known.has(other), `${name} needs ${other}`);
    }
    const root = protobuf.Root.fromDescriptor({ file: decoded }).resolveAll();
    const methods = root.lookupService(SERVICE).methodsArray.map(({ name }) => name);
    const served = ['Telemetry', ...[...unaryMethods, ...streamMethods].map(({ name }) => name)];
    assert.deepEqual(methods.sort(), served.sort(), 'each method of the service is served');
    const message = root.lookupType('apache.rocketmq.v2.Message');
    const bytes = message.encode({ topic: { name: 'T' }, userProperties: { a: 'b' }, body: Buffer.from('x') }).finish();
    assert.equal((message.decode(bytes) as unknown as { topic: { name: string } }).topic.name, 'T');
    assert.ok(byName!.fileDescriptorResponse!.fileDescriptorProto!.length >= 1);
    assert.equal(none!.errorResponse?.errorCode, GrpcStatus.NOT_FOUND);
    assert.equal(extension!.errorResponse?.errorCode, GrpcStatus.NOT_FOUND);
  }
});

test('reflection: a name of any length is answered, and an empty question has an answer too', () => {
  const reflection = new Reflection([SERVICE], []);
  const long = reflection.answer({ fileByFilename: 'x'.repeat(100_000) });
  assert.ok(long.errorResponse!.errorMessage!.length < 300);
  assert.equal(reflection.answer({}).errorResponse?.errorCode, GrpcStatus.UNIMPLEMENTED);
  assert.equal(reflection.answer({ allExtensionNumbersOfType: 'x' }).errorResponse?.errorCode, GrpcStatus.NOT_FOUND);
});
