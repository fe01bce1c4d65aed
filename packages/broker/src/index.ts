/**
 * A RocketMQ-compatible broker and nameserver, as objects in your process.
 *
 * `Broker` opens a store (`@vernier/store`), serves RocketMQ's clients on a port and registers with nameservers. `Namesrv`
 * answers routes. A broker that is given a `Namesrv` of the same process registers with it without a connection. Both are
 * made, started and shut down; neither reads a configuration file (the command `vernier` does that).
 *
 * `PutMessageHook` looks at messages before they are stored. `RouteInfoManager`, `KVConfigManager` are the nameserver's
 * tables. Errors are `BrokerError`, and the StoreErrors and RemotingErrors of what is below; match on `code`.
 *
 * Caveats:
 * - `await broker.shutdown()` before the process ends, or the next start has to recover.
 * - A broker that emitted `failed` refuses sends from then on and goes on serving pulls; only a new start ends that.
 * - Without `authenticationEnabled` whoever reaches the port may do everything. Replication is not there yet.
 * - `@vernier/broker/internal` is for Vernier's own packages and changes without notice.
 */
export { Broker, type BrokerDeps, type BrokerEvents } from './broker.ts';
export { type BrokerConfig, type BrokerOptions, defaultBrokerConfig } from './config.ts';
export { BROKER_ERROR_CODES, BrokerError, type BrokerErrorCode } from './errors.ts';
export { KVConfigManager, ORDER_TOPIC_CONFIG } from './namesrv/kv-config-manager.ts';
export { Namesrv, type NamesrvOptions } from './namesrv/namesrv.ts';
export { defaultNamesrvConfig, type NamesrvConfig } from './namesrv/namesrv-config.ts';
export { type ReachableAddressOptions, reachableAddress } from './namesrv/reachable-address.ts';
export {
  type BrokerRegistration,
  type RegisterBrokerResult,
  type ResolveBrokerAddress,
  RouteInfoManager,
} from './namesrv/route-info-manager.ts';
export type { PutMessageHook, PutRefusal } from './put/put-message-hook.ts';
