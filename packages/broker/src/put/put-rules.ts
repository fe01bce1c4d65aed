/** Who a message comes from. */
export type Origin =
  | 'client'
  | 'send-back'
  | 'delay'
  | 'timer'
  | 'recall'
  | 'transaction'
  | 'half'
  | 'pop'
  | 'revive'
  | 'reply';

/** What is done with a message before the store gets it, and after. */
export interface PutRules {
  /**
   * Nothing that a producer says is believed (Admission): the topic's name is legal and not reserved, the broker takes
   * messages, the queue is there, the body is not empty. A missing topic is made from its template. Without it the topic
   * has to be there.
   */
  readonly isChecked: boolean;
  /**
   * What only a broker may say is removed (address bits, POP_CK, the properties of another broker), and our own
   * properties and a missing UNIQ_KEY are added. Without it the message has them from when it first came.
   */
  readonly isStamped: boolean;
  /** A message for a retry topic that was tried too often goes to the group's dead letters. */
  readonly hasRetryLimit: boolean;
  /** With the property TRAN_MSG it is the half of a transaction (half-message.ts). Without it the property says nothing. */
  readonly mayBeHalf: boolean;
  /**
   * Its properties choose its queues: _SYS_MSG_PRIORITY_ its own (priority.ts), __LITE_TOPIC a light queue (lite-topic.ts).
   * Without it they say nothing.
   */
  readonly isPlaced: boolean;
  /** The hooks look at it: they turn delayed and timed messages to the queues where they wait. A half is not asked about. */
  readonly isHooked: boolean;
  /**
   * Its put resolves when it is as safe as flushDiskType and its property WAIT ask for. Without it, when it is written: who
   * puts has the message on disk elsewhere, and lets go of that only when everything that was put is on disk.
   */
  readonly isAwaited: boolean;
  /** It counts in the statistics of its topic and of the broker. */
  readonly isCounted: boolean;
  /** It counts among the messages that came in, for who exports metrics: there RocketMQ counts fewer. */
  readonly isMetered: boolean;
}

const rules = (
  ...[isChecked, isStamped, hasRetryLimit, mayBeHalf, isPlaced, isHooked, isAwaited, isCounted, isMetered]: boolean[]
): PutRules =>
  ({ isChecked, isStamped, hasRetryLimit, mayBeHalf, isPlaced, isHooked, isAwaited, isCounted, isMetered }) as PutRules;

const yes = true;
const no = false;

/**
 * Which rules hold for a message, by who it comes from.
 *
 * - `delay` and `timer` put what has waited its time: a hook would make it wait again.
 * - `recall` puts the broker's own note that a message is not to be delivered, which waits in its place.
 * - `transaction` puts a half that commits: it may ask for a delay, which begins now.
 * - `half` puts the broker's own records of transactions: copies of halves, markers of ended ones, what is given up.
 * - `pop` puts the broker's own notes (checkpoints, acks), which are nobody's messages and wait for a time.
 * - `revive` puts what a group did not acknowledge into its retry topic: a hook would make it wait once more.
 * - `reply` puts a client's answer to another client's message, checked as a send is.
 */
// biome-ignore format: a table, to be read by its columns
export const putRules: Readonly<Record<Origin, PutRules>> = {
  //                   checked  stamped  retry limit  halves  placed  hooks  awaited  counted  metered
  'client':      rules(yes,     yes,     yes,         yes,    yes,    yes,   yes,     yes,     yes),
  'send-back':   rules(no,      no,      no,          no,     no,     yes,   yes,     yes,     no),
  'delay':       rules(no,      no,      no,          no,     no,     no,    no,      yes,     yes),
  'timer':       rules(no,      no,      no,          no,     no,     no,    no,      yes,     no),
  'recall':      rules(no,      no,      no,          no,     no,     yes,   yes,     no,      no),
  'transaction': rules(no,      no,      no,          no,     no,     yes,   yes,     yes,     no),
  'half':        rules(no,      no,      no,          no,     no,     no,    yes,     no,      no),
  'pop':         rules(no,      no,      no,          no,     no,     yes,   yes,     no,      no),
  'revive':      rules(no,      no,      no,          no,     no,     no,    yes,     yes,     no),
  'reply':       rules(yes,     yes,     no,          no,     no,     yes,   yes,     yes,     yes),
};
