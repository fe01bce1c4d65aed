/** For Vernier's own packages and tools; promises nothing to anybody else. */

export { Refusal } from './base/refusal.ts';
export type { Client, TransactionCheck } from './clients/client.ts';
export { type BrokerConfig, defaultBrokerConfig } from './config.ts';
export { brokerKeys, roleKeys } from './config-keys.ts';
export type { BrokerContext } from './context.ts';
export { createBrokerContext, loadTables, startServices } from './create-context.ts';
export { allProcessors } from './processors/index.ts';
export { BrokerHosts } from './registration/hosts.ts';
