/** What a conformance case is: something a client does, and what it sees, the same on every run of the same broker. */
import type { Bench } from './bench.ts';

/** Text that a table can show; `full` is what is compared, when it is longer than a table can bear. */
export type Result = string | { shown: string; full: string };

/** Names that no other case uses, the same with both brokers. */
export interface Names {
  topic: string;
  group: string;
  /** Another name, for a second topic or group. */
  other(suffix: string): string;
}

export interface Case {
  /** One sentence, as the table shows it. */
  behaviour: string;
  /** By which client; `wire` is our own reading of the protocol. */
  client: 'wire' | 'Java' | 'Go' | 'Node' | 'mqadmin' | 'Java gRPC' | 'Node gRPC';
  /** Of the list of edge cases (edges.ts). */
  edge?: string;
  /** Of a difference on purpose: how its row of docs/compatibility.md begins. */
  differs?: string;
  /** With RocketMQ it is a race; what comes of it. Such a case is not compared. */
  apacheEither?: readonly string[];
  /** The same with Vernier. */
  vernierEither?: readonly string[];
  run(bench: Bench, names: Names): Promise<Result>;
}

/** A case that looks again after the broker was ended by SIGKILL and started. */
export interface RestartCase extends Omit<Case, 'run'> {
  /** Its `before` is made when those of the others are, right before the kill. */
  last?: true;
  before(bench: Bench, names: Names): Promise<unknown>;
  /** `known` is what `before` resolved with. */
  after(bench: Bench, names: Names, known: never): Promise<Result>;
}

export interface Chapter {
  title: string;
  cases: readonly (Case | RestartCase)[];
}

/** A restart case whose two halves agree on what is known. */
export function restartCase<T>(
  one: Omit<RestartCase, 'before' | 'after'> & {
    before(bench: Bench, names: Names): Promise<T>;
    after(bench: Bench, names: Names, known: T): Promise<Result>;
  },
): RestartCase {
  return one as unknown as RestartCase;
}
