/** The messages of gRPC's own services, which pbjs makes from their .proto files (scripts/messages.mjs). */
import { grpc } from '#services';
import { codec } from './messages.ts';

const { health, reflection } = grpc;

export type HealthCheckRequest = grpc.health.v1.HealthCheckRequest.$Properties;
export type HealthCheckResponse = grpc.health.v1.HealthCheckResponse.$Properties;
export type HealthListRequest = grpc.health.v1.HealthListRequest.$Properties;
export type HealthListResponse = grpc.health.v1.HealthListResponse.$Properties;
export type ReflectionRequest = grpc.reflection.v1.ServerReflectionRequest.$Properties;
export type ReflectionResponse = grpc.reflection.v1.ServerReflectionResponse.$Properties;

export const { ServingStatus } = health.v1.HealthCheckResponse;
export type ServingStatus = grpc.health.v1.HealthCheckResponse.ServingStatus;

export const serviceCodecs = {
  HealthCheckRequest: codec<HealthCheckRequest>(health.v1.HealthCheckRequest),
  HealthCheckResponse: codec<HealthCheckResponse>(health.v1.HealthCheckResponse),
  HealthListRequest: codec<HealthListRequest>(health.v1.HealthListRequest),
  HealthListResponse: codec<HealthListResponse>(health.v1.HealthListResponse),
  ReflectionRequest: codec<ReflectionRequest>(reflection.v1.ServerReflectionRequest),
  ReflectionResponse: codec<ReflectionResponse>(reflection.v1.ServerReflectionResponse),
} as const;
