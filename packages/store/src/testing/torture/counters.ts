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
    storesFailed: 0,
    openingsRefused: 0,
    bitsFlipped: 0,
    damageNamed: 0,
    messagesPut: 0,
    acknowledged: 0,
    read: 0,
    expired: 0,
    events: 0,
  };
}

export function addCounters(total: RunCounters, more: RunCounters): void {
  for (const key of Object.keys(total) as (keyof RunCounters)[]) total[key] += more[key];
}
