/** All cases of the gRPC protocol, and what both brokers are set to for them. */
import type { Chapter } from '../case.ts';
import { clients } from './clients.ts';
import { consuming } from './consuming.ts';
import { programs } from './programs.ts';
import { sending } from './sending.ts';
import { grpcTransactions } from './transactions.ts';

/** In the order of the table. A chapter that is added goes to the end, so that the others keep their numbers. */
export const grpcChapters: readonly Chapter[] = [clients, sending, consuming, grpcTransactions, programs];

/** Numbers of these cases begin so. */
export const PREFIX = 'G';

export const grpcConfig = {
  // Commits are noted in batches every three seconds: RocketMQ asks about them again before that.
  transactionTimeOut: 6_000,
  transactionCheckInterval: 6_000,
  recallMessageEnable: true,
  enablePropertyFilter: true,
};
