export { Broker, type BrokerDeps, type BrokerEvents } from './broker/broker.ts';
export { type BrokerConfig, type BrokerOptions, defaultBrokerConfig } from './broker/config.ts';
export { BROKER_ERROR_CODES, BrokerError, type BrokerErrorCode } from './broker/errors.ts';
export type { PutMessageHook, PutRefusal } from './broker/put-message-hook.ts';
export { KVConfigManager, ORDER_TOPIC_CONFIG } from './namesrv/kv-config-manager.ts';
export { Namesrv, type NamesrvOptions } from './namesrv/namesrv.ts';
export { applyProperties, defaultNamesrvConfig, type NamesrvConfig } from './namesrv/namesrv-config.ts';
export { type ReachableAddressOptions, reachableAddress } from './namesrv/reachable-address.ts';
export {
  type BrokerRegistration,
  type RegisterBrokerResult,
  type ResolveBrokerAddress,
  RouteInfoManager,
} from './namesrv/route-info-manager.ts';
