import type { DispatchRequest } from '../record/dispatch-request.ts';
import type { DispatchTarget, TargetPoint, TargetRecovery } from '../record/dispatch-target.ts';
import type { IndexService } from './index-service.ts';

/** The key index as a target of dispatch (RocketMQ CommitLogDispatcherBuildIndex). */
export class IndexTarget implements DispatchTarget {
  readonly name = 'index';
  readonly #index: IndexService;
  #point: TargetPoint = { durableWhere: 0, newestWhere: undefined };

  constructor(index: IndexService) {
    this.#index = index;
  }

  get point(): TargetPoint {
    return this.#point;
  }

  dispatch(request: DispatchRequest): boolean {
    this.#index.buildIndex(request);
    return false;
  }

  dispatchRecovered(request: DispatchRequest): void {
    this.#index.buildIndex(request);
  }

  endRecovery(): void {}

  async makeDurable(dispatchedWhere: number): Promise<void> {
    const newestWhere = this.#newestWhere;
    await this.#index.flush();
    this.#point = { durableWhere: dispatchedWhere, newestWhere };
  }

  recover(point: TargetPoint | undefined): Promise<TargetRecovery> {
    const newest = this.#newestWhere;
    const durableWhere = point?.durableWhere ?? 0;
    // Fewer keys than were there: files are missing, and all of them is made anew from the newest that is left.
    const isWhole = point?.newestWhere === undefined || newest >= point.newestWhere;
    const completeWhere = isWhole ? durableWhere : Math.max(0, Math.min(durableWhere, newest));
    return Promise.resolve({ completeWhere, rebuildFrom: Number.POSITIVE_INFINITY, maxPhysicOffset: newest });
  }

  async truncateDirty(where: number, inMemory: boolean): Promise<void> {
    // Of a damaged store the files stay as they are; keys that are there already are not filed again.
    if (!inMemory) await this.#index.truncateDirty(where);
    this.#point = { durableWhere: where, newestWhere: this.#newestWhere };
  }

  async destroy(): Promise<void> {
    // An index of another log would refuse the records of this one: it takes none below its own end.
    await this.#index.destroy();
    this.#point = { durableWhere: 0, newestWhere: -1 };
  }

  get #newestWhere(): number {
    return this.#index.fileCount === 0 ? -1 : this.#index.endPhyOffset;
  }
}
