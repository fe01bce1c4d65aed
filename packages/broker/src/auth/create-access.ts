import type { Clock, StoreLogger } from '@vernier/store';
import type { Budget } from '../base/budget.ts';
import { type BrokerConfig, innerCredentials } from '../config.ts';
import { BrokerError } from '../errors.ts';
import { AccessAdmin } from './access-admin.ts';
import { AccessService } from './access-service.ts';
import { AccessTable } from './access-table.ts';
import { FailedSignIns } from './failed-sign-ins.ts';

/** Keys that say who has to sign, who may do what, and who is there from the start. */
export const ACCESS_KEYS = [
  ...(['brokerClusterName', 'authenticationEnabled', 'authorizationEnabled'] as const),
  ...(['authenticationWhitelist', 'authorizationWhitelist', 'initAuthenticationUser'] as const),
  ...(['innerClientAuthenticationCredentials', 'accessTableBytesMax'] as const),
] as const;

export type AccessConfig = Pick<BrokerConfig, (typeof ACCESS_KEYS)[number]>;

export interface AccessParts {
  readonly config: AccessConfig;
  readonly budget: Budget;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** Writes the table; resolves when it is on disk. */
  save(): Promise<void>;
}

/** Users, who they are and what operators do to them. The table is empty until its file was read. */
export function createAccess({ config, budget, clock, logger, save }: AccessParts) {
  const table = new AccessTable(budget, save);
  return {
    table,
    access: new AccessService({ config, table, failures: new FailedSignIns(clock, logger) }),
    admin: new AccessAdmin(table, config.authenticationEnabled),
  };
}

/**
 * When the table was read: makes the users that the configuration names (RocketMQ
 * AuthenticationMetadataManagerImpl.initUser). Rejects BROKER_CONFIG_INVALID, BROKER_METADATA_WRITE_FAILED.
 */
export async function ensureConfiguredUsers(
  config: AccessConfig,
  admin: AccessAdmin,
  logger: StoreLogger,
): Promise<void> {
  const { initAuthenticationUser, innerClientAuthenticationCredentials } = config;
  const ensure = async (key: keyof AccessConfig, username: string, password: string): Promise<void> => {
    const fault = await admin.ensureSuper(username, password);
    if (fault === undefined) return;
    throw new BrokerError('BROKER_CONFIG_INVALID', `${key}: ${fault}`, { key, value: 'a secret' });
  };
  if (initAuthenticationUser !== '') {
    const { username, password } = JSON.parse(initAuthenticationUser) as { username: string; password: string };
    await ensure('initAuthenticationUser', username, password);
  }
  const inner = innerCredentials(innerClientAuthenticationCredentials);
  if (inner !== undefined) await ensure('innerClientAuthenticationCredentials', inner.accessKey, inner.secretKey);
  if (config.authenticationEnabled && !admin.hasSuper) {
    logger.warn({}, 'there is no enabled Super: nobody can make users; initAuthenticationUser names one');
  }
}
