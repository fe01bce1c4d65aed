/** All cases, and what both brokers are set to for them. */
import { batchQueues } from './batch-queues.ts';
import type { Chapter } from './case.ts';
import { consuming } from './consuming.ts';
import { delay, ROLL_WINDOW_MS } from './delay.ts';
import { filters } from './filters.ts';
import { lightQueues } from './light-queues.ts';
import { liteTopics } from './lite-topics.ts';
import { messages } from './messages.ts';
import { mqadmin } from './mqadmin.ts';
import { operating } from './operating.ts';
import { pop } from './pop.ts';
import { priority } from './priority.ts';
import { retry } from './retry.ts';
import { staticTopics } from './static-topics.ts';
import { tables } from './tables.ts';
import { transactions } from './transactions.ts';

/** In the order of the table. A chapter that is added goes to the end, so that the others keep their numbers. */
export const chapters: readonly Chapter[] = [
  retry,
  delay,
  transactions,
  filters,
  consuming,
  pop,
  messages,
  tables,
  mqadmin,
  priority,
  lightQueues,
  liteTopics,
  batchQueues,
  staticTopics,
  operating,
];

const both = {
  // A minute for the two highest, which nobody waits for; retries begin with the third.
  messageDelayLevel: '1s 2s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 60s',
  recallMessageEnable: true,
  timerRollWindowSlot: ROLL_WINDOW_MS / 1_000,
  transactionTimeOut: 6_000,
  transactionCheckInterval: 6_000,
  transactionCheckMax: 5,
  traceTopicEnable: true,
  // Light queues and lite topics.
  enableLmq: true,
  enableMultiDispatch: true,
};

export const config = {
  apache: { ...both, enablePropertyFilter: true },
  // As the small Java broker of these suites has them.
  vernier: { ...both, mappedFileSizeCommitLog: 64 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 100_000 },
};
