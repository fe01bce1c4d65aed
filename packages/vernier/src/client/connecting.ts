import type { RemotingClientOptions } from '@vernier/remoting';
import { credentialsOf, type SigningOptions } from './credentials.ts';
import { type TlsFlags, tlsOf } from './tls-flags.ts';

/** Flags of every command that talks to a cluster. */
export interface ConnectingOptions extends TlsFlags, SigningOptions {}

/** How it connects, and what its requests are signed with. */
export type Connecting = Pick<RemotingClientOptions, 'tls' | 'credentials'>;

/** Throws CLI_USAGE, CLI_INPUT_UNREADABLE. */
export const connectingOf = (options: ConnectingOptions): Connecting => ({
  tls: tlsOf(options),
  credentials: credentialsOf(options),
});
