/**
 * RocketMQ's gRPC protocol (`apache.rocketmq.v2`, the clients of RocketMQ 5) on a broker of the same process.
 *
 * `GrpcProxy` listens on a port of its own and calls the services of the broker; it sends no frames to it. What it knows of
 * clients, their settings and what they hold, is in memory; messages, offsets and deliveries are the broker's.
 *
 * Plaintext and TLS share the port, unless its `ServerIdentity` says otherwise. Without a certificate of yours one is made for the first client that wants TLS; clients of
 * RocketMQ trust any by default.
 *
 * Caveats:
 * - Stop the proxy before the broker: calls that wait for messages would wait for ever.
 * - It asks the broker's users and policies; without `authenticationEnabled` whoever reaches the port may do everything.
 */

export { defaultLimits, limitsOf, type ProxyLimits, proxyKeys } from './limits.ts';
export { DEFAULT_PROXY_PORT, GrpcProxy, type ProxyOptions } from './proxy.ts';
