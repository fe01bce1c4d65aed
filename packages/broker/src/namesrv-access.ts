import { dirname, join } from 'node:path';
import { type RemotingConnection, type RemotingLogger, RequestCode, silentLogger } from '@vernier/remoting';
import { type Clock, systemClock } from '@vernier/store';
import { type FileSystem, NodeFileSystem } from '@vernier/store/internal';
import { type AccessConfig, createAccess, ensureConfiguredUsers } from './auth/create-access.ts';
import { Budget } from './base/budget.ts';
import type { Identity } from './base/identity.ts';
import { resolveBrokerConfig } from './config.ts';
import { accessGate } from './gate/access-gate.ts';
import { MetadataFile } from './metadata/metadata-files.ts';
import type { Namesrv } from './namesrv/namesrv.ts';
import { accessHandlers, accessRequests } from './processors/access-admin.ts';
import { guarded } from './processors/requests.ts';

export interface NamesrvAccessOptions {
  /** The keys that a broker has for it. */
  readonly config: Partial<AccessConfig>;
  /** Where access.json lies; made when it is not there. */
  readonly directory: string;
  readonly logger?: RemotingLogger;
  readonly clock?: Clock;
  readonly fileSystem?: FileSystem;
}

/**
 * Gives users of its own to a nameserver without a broker, before it is started: requests are looked at as at a broker, and
 * those about users and policies are answered. Without `authenticationEnabled` nothing is done. RocketMQ's nameserver has
 * nothing like it. Rejects BROKER_CONFIG_INVALID, BROKER_METADATA_DAMAGED, STORE_METADATA_DAMAGED,
 * BROKER_METADATA_WRITE_FAILED.
 */
export async function guardNamesrv(namesrv: Namesrv, options: NamesrvAccessOptions): Promise<void> {
  const { directory, logger = silentLogger, clock = systemClock, fileSystem = new NodeFileSystem() } = options;
  const config = resolveBrokerConfig(options.config);
  if (!config.authenticationEnabled) return;
  const budget = new Budget('accessTableBytesMax', () => config.accessTableBytesMax, logger);
  const save = (): Promise<void> => file.save();
  const { table, access, admin } = createAccess({ config, budget, clock, logger, save });
  const path = join(directory, 'access.json');
  const file: MetadataFile = new MetadataFile(path, table, 0, fileSystem, clock, logger);
  await makeDurably(fileSystem, directory);
  await file.load();
  await ensureConfiguredUsers(config, admin, logger);
  /** Who is behind the request that is handled next on a connection. */
  const callers = new WeakMap<RemotingConnection, Identity | undefined>();
  const passed = (connection: RemotingConnection, identity: Identity | undefined): void => {
    callers.set(connection, identity);
  };
  namesrv.guard(accessGate({ access, isGroup: () => false, passed }));
  for (const name of accessRequests) {
    const handle = accessHandlers[name];
    namesrv.server.registerProcessor(
      RequestCode[name],
      guarded((request, connection) => handle({ accessAdmin: admin }, request, { identity: callers.get(connection) })),
    );
  }
}

/** Makes a directory whose name, and those above it that were missing too, a power cut does not take with what is in it. */
async function makeDurably(fileSystem: FileSystem, directory: string): Promise<void> {
  await fileSystem.makeDirectory(directory);
  let path = directory;
  do {
    path = dirname(path);
    await fileSystem.syncDirectory(path).catch((error: NodeJS.ErrnoException) => {
      // A directory of others that we may not read; its names are theirs to keep.
      if (path === dirname(directory) || (error.code !== 'EACCES' && error.code !== 'EPERM')) throw error;
    });
  } while (path !== dirname(path));
}
