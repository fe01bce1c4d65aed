import { asObject, integerMember } from './json-members.ts';

/** Version of a table that name servers and slaves compare to know whether it changed (RocketMQ DataVersion). */
export interface DataVersion {
  stateVersion: number;
  /** Unix milliseconds of the last change. */
  timestamp: number;
  counter: number;
}

export function initialDataVersion(now: number): DataVersion {
  return { stateVersion: 0, timestamp: now, counter: 0 };
}

/** The version after one more change. */
export function nextDataVersion(version: DataVersion, now: number, stateVersion = version.stateVersion): DataVersion {
  return { stateVersion, timestamp: now, counter: version.counter + 1 };
}

/** All three members count. */
export function sameDataVersion(a: DataVersion, b: DataVersion): boolean {
  return a.stateVersion === b.stateVersion && a.timestamp === b.timestamp && a.counter === b.counter;
}

export function dataVersionFromJson(value: unknown): DataVersion {
  const object = asObject(value, 'dataVersion');
  return {
    stateVersion: integerMember(object, 'stateVersion'),
    timestamp: integerMember(object, 'timestamp'),
    counter: integerMember(object, 'counter'),
  };
}

export function dataVersionJson(version: DataVersion): object {
  return { counter: version.counter, stateVersion: version.stateVersion, timestamp: version.timestamp };
}
