/** What was done, summed over histories. */
export interface RunCounters {
  /** Ends of the machine or the process, each with its recovery and checks; further ends during that recovery beside. */
  crashes: number;
  powerCuts: number;
  kills: number;
  cutsInRecovery: number;
  failpointsReached: number;
  cleanShutdowns: number;
  faults: number;
  /** Of the faults: a lack of descriptors or room for a while, for which no store may fail. */
  lacks: number;
  storesFailed: number;
  openingsRefused: number;
  bitsFlipped: number;
  damageNamed: number;
  messagesPut: number;
  /** Of them, acknowledged as on disk. */
  acknowledged: number;
  /** Messages given to consumers. */
  read: number;
  /** Of the acknowledged ones: removed with files that had had their time. */
  expired: number;
  /** The clock was set hours ahead or back while a store was open. */
  clockSteps: number;
  /** Topics deleted, answered or refused; of both, those of which a crash left the messages. */
  deletions: number;
  deletionsRefused: number;
  deletionsUndone: number;
  /** Through a broker: consumer groups deleted with their offsets, and groups set back. */
  groupsDeleted: number;
  offsetsSetBack: number;
  /** Through a broker: messages with a delay level that were found in their topic. */
  delayedDelivered: number;
  /** Through a broker: transactions begun, and how often a producer was asked about one. */
  transactions: number;
  transactionChecks: number;
  /** Through a broker: timed messages sent, those that were to be recalled, and those that were found in their topic. */
  timers: number;
  timersRecalled: number;
  timersDelivered: number;
  /** Through a broker: messages sent to consumers that pop, their pops, how many messages these gave, and gave again. */
  popSent: number;
  pops: number;
  popDelivered: number;
  popDeliveredAgain: number;
  /** Acks after which a message must not come again, and changes of the time. */
  popAcks: number;
  popChanges: number;
  events: number;
}

export function emptyCounters(): RunCounters {
  return {
    crashes: 0,
    powerCuts: 0,
    kills: 0,
    cutsInRecovery: 0,
    failpointsReached: 0,
    cleanShutdowns: 0,
    faults: 0,
    lacks: 0,
    storesFailed: 0,
    openingsRefused: 0,
    bitsFlipped: 0,
    damageNamed: 0,
    messagesPut: 0,
    acknowledged: 0,
    read: 0,
    expired: 0,
    clockSteps: 0,
    deletions: 0,
    deletionsRefused: 0,
    deletionsUndone: 0,
    groupsDeleted: 0,
    offsetsSetBack: 0,
    delayedDelivered: 0,
    transactions: 0,
    transactionChecks: 0,
    timers: 0,
    timersRecalled: 0,
    timersDelivered: 0,
    popSent: 0,
    pops: 0,
    popDelivered: 0,
    popDeliveredAgain: 0,
    popAcks: 0,
    popChanges: 0,
    events: 0,
  };
}

export function addCounters(total: RunCounters, more: RunCounters): void {
  for (const key of Object.keys(total) as (keyof RunCounters)[]) total[key] += more[key];
}
