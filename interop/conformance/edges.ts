/**
 * Inputs at the edge and what is right for them. A case names its edge; what no client can reach (a clock that is set) is
 * the matter of the test that is named here, and what is not served yet is said.
 */
export interface Edge {
  id: string;
  text: string;
  /** Test that covers it where no case does, or beside it. */
  test?: string;
  /** Why nothing covers it, or a part of it. */
  later?: string;
}

const broker = 'packages/broker/test';
const proxy = 'packages/proxy/test';

export const edges: readonly Edge[] = [
  { id: 'B.1', text: 'DELAY=19 with 18 levels: level 18. DELAY=0 or −1: now.' },
  {
    id: 'B.2',
    text: 'A time on the precision: then, within 0.3 s. One millisecond later: the next one. Never earlier.',
  },
  {
    id: 'B.3',
    text: 'The clock is set back an hour while a message of level 3 waits: delivered at once, once.',
    test: `${broker}/delay/delay-service.test.ts`,
  },
  { id: 'B.4', text: 'Recalled after its delivery: 604, nothing removed. Recalled twice before it: 0 and 0.' },
  {
    id: 'B.5',
    text: 'A message that waits longer than the window, recalled after it was stored anew: not delivered.',
    test: `${broker}/timer/recall.test.ts`,
  },
  {
    id: 'B.6',
    text: 'A half of a producer group of two, one of them killed: the other one is asked in the same round.',
  },
  {
    id: 'B.7',
    text: 'A half, no producer for ten minutes, then one: asked, committed, delivered once.',
    test: `${broker}/transaction/transaction-check-service.test.ts`,
  },
  {
    id: 'B.8',
    text: 'An immunity of 600 s: the first check comes after it.',
    test: `${broker}/transaction/transaction-check-service.test.ts`,
  },
  {
    id: 'B.9',
    text: 'COMMIT of the first offsets after a check: one message, no further check. ROLLBACK after COMMIT: ignored.',
  },
  {
    id: 'B.10',
    text: 'SIGKILL a second after COMMIT: one message after the restart.',
    test: `${broker}/transaction/transaction-service.test.ts`,
  },
  { id: 'B.11', text: 'A half with TIMER_DELIVER_MS: 13, nothing stored.' },
  { id: 'B.12', text: "`a <> 'x'` without a: no. `NOT (a CONTAINS 'x')` without a: yes. `a = b` without both: yes." },
  {
    id: 'B.13',
    text: '`a > 5` with "5.5": no. `a > 5.0`: yes. `a > 0.0`: 23. `a LIKE \'x%\'`: accepted, never matches.',
  },
  { id: 'B.14', text: 'A broadcast listener fails: no record in %RETRY%, its offset goes on.' },
  { id: 'B.15', text: 'A retry of a retry: ORIGIN_MESSAGE_ID as before, RETRY_TOPIC the original one, level 3 + n.' },
  { id: 'B.16', text: 'In order, 3 of 5 acknowledged: the others wait until its time is over, then 4 and 5.' },
  { id: 'B.17', text: 'The same attemptId after a lost answer: the same five, count 0. A new attemptId: nothing.' },
  {
    id: 'B.18',
    text: 'The invisible time changed after its end: 0, at most one more delivery.',
    test: `${proxy}/methods/ack-message.test.ts`,
  },
  {
    id: 'B.19',
    text: 'BATCH_ACK_MESSAGE with one offset beyond the end: 0, the others acknowledged.',
    test: `${proxy}/methods/ack-message.test.ts`,
  },
  { id: 'B.20', text: 'Acknowledged twice within the time: 0 and 0.', test: `${proxy}/methods/ack-message.test.ts` },
  {
    id: 'B.21',
    text: 'Two members of a group with filters A and B: each pop uses its own; what one skips is gone for the other.',
  },
  {
    id: 'B.22',
    text: 'A batch of three with a message group: one queue, in order.',
    test: `${proxy}/methods/send-message.test.ts`,
  },
  { id: 'B.23', text: 'A body of 8 KiB that Java compressed is read by others.', test: `${proxy}/server.test.ts` },
  {
    id: 'B.24',
    text: 'A restart with messages in flight: old handles acknowledge, the rest comes again once with reconsumeTimes + 1.',
  },
  { id: 'B.25', text: 'The offset of a blocked queue of a group in order is reset: the next pop starts there.' },
  {
    id: 'B.26',
    text: 'No room in the log: SYSTEM_BUSY after osPageCacheBusyTimeOutMills, or when maxAsyncPutMessageRequests wait; the remark says how many wait, for how many ms, and for what.',
    test: 'packages/store/test/log/stalled-appends.test.ts',
  },
  {
    id: 'B.27',
    text: 'A consumer that does not read its answers: a bounded number of them is made, and others are served.',
    test: 'packages/remoting/test/net/server.test.ts',
  },
  {
    id: 'B.28',
    text: 'Members of a group that differ: a warning with both and what differs, once in ten minutes.',
    test: `${broker}/clients/group-agreement.test.ts`,
  },
];
