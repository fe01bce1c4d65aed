import type { DispatchRequest } from './dispatch-request.ts';

/** Every target there is, in the order in which the checkpoint keeps their points: a new one goes to the end. */
export const TARGET_NAMES = ['queues', 'index'] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

/** How far a target is. Offsets in the log. */
export interface TargetPoint {
  /** What the target has of every record that ends at or below is on disk. */
  readonly durableWhere: number;
  /**
   * Where the newest of the records below stands that the target has something of, -1 without one; undefined when nobody
   * knows. A start that finds less lacks files, and does not believe durableWhere.
   */
  readonly newestWhere: number | undefined;
}

/** What a target has on disk when a store is opened. */
export interface TargetRecovery {
  /** It has everything of every record that ends at or below; dispatch has to go on from here at the latest. */
  completeWhere: number;
  /** As completeWhere, of what was taken away to be made anew, whatever a checkpoint says; Infinity without. */
  rebuildFrom: number;
  /** End of the newest record that it has something of, -1 without one. */
  maxPhysicOffset: number;
}

/**
 * Something that follows the log: it takes each record in log order, makes itself durable, and says up to which offset of
 * the log it is. Recovery starts at the smallest of these points and the log's own durable point, so a target needs no other
 * care: what it loses in a crash it is given again.
 */
export interface DispatchTarget {
  readonly name: TargetName;
  /**
   * Takes one record, in memory. A record that it has already changes nothing. True when a reader of the record's queue
   * finds it now and did not before.
   */
  dispatch(request: DispatchRequest): boolean;
  /** As dispatch, for records that recovery reads from the log. After the last one endRecovery() is called. */
  dispatchRecovered(request: DispatchRequest): void;
  endRecovery(): void;
  /** What is known to be on disk. */
  readonly point: TargetPoint;
  /**
   * Everything dispatched before the call is *on disk* when it resolves, and `point` says so; `dispatchedWhere` is where
   * dispatch was. Rejects for a lack that may pass, and can then be called again; a failed write or sync fails the store.
   */
  makeDurable(dispatchedWhere: number): Promise<void>;
  /** Recovery: looks at what is on disk. `point`: as the checkpoint has it, undefined when that is void. */
  recover(point: TargetPoint | undefined, lastExitOk: boolean): Promise<TargetRecovery>;
  /** Recovery: lets go of everything of records at or above `where`, durably, and is at that point; with `inMemory` from
   * sight alone. */
  truncateDirty(where: number, inMemory: boolean): Promise<void>;
  /** Recovery: the log has no files. Removes everything. */
  destroy(): Promise<void>;
}
