import type { ServiceDefinition } from '@grpc/grpc-js';

interface AnyCodec {
  encode(value: never): Buffer;
  decode(bytes: Buffer): unknown;
}

/** A method as the library of gRPC wants it. */
export const definitionOf = (
  service: string,
  name: string,
  requestStream: boolean,
  responseStream: boolean,
  request: AnyCodec,
  response: AnyCodec,
): ServiceDefinition[string] => ({
  path: `/${service}/${name}`,
  requestStream,
  responseStream,
  requestSerialize: request.encode as (value: unknown) => Buffer,
  requestDeserialize: request.decode,
  responseSerialize: response.encode as (value: unknown) => Buffer,
  responseDeserialize: response.decode,
});
