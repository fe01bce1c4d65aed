/** RocketMQ BrokerMetricsManager.isSystemGroup. */
export const isSystemGroup = (group: string): boolean => group.toLowerCase().startsWith('cid_rmq_sys_');
