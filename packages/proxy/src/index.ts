/**
 * RocketMQ's gRPC protocol (`apache.rocketmq.v2`, the clients of RocketMQ 5) on a broker of the same process, or in
 * front of brokers elsewhere.
 *
 * `GrpcProxy` listens on a port of its own. `serve` calls the services of a broker and sends no frames to it; `serveRemote`
 * sends requests to the brokers behind nameservers. What it knows of clients, their settings and what they hold, is in memory;
 * messages, offsets and deliveries are the brokers'.
 *
 * Plaintext and TLS share the port, unless its `ServerIdentity` says otherwise. Without a certificate of yours one is made for the first client that wants TLS; clients of
 * RocketMQ trust any by default.
 *
 * Caveats:
 * - Stop the proxy before the broker: calls that wait for messages would wait for ever.
 * - In front of brokers elsewhere it asks nobody who its clients are, and keeps nothing over a restart.
 * - It asks the broker's users and policies; without `authenticationEnabled` whoever reaches the port may do everything.
 */

export type { RemoteBackendOptions } from './backend/remote/remote.ts';
export { defaultLimits, limitsOf, type ProxyLimits, proxyKeys } from './limits.ts';
export { DEFAULT_PROXY_PORT, GrpcProxy, type ProxyOptions } from './proxy.ts';
