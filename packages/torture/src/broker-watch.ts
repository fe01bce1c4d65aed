import { type BrokerContext, Refusal } from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import { type BrokerModel, NONE } from './broker-model.ts';
import type { FrontMachine } from './front.ts';
import type { PopModel } from './pop-model.ts';

export const GROUP = 'torture';

export const queueName = (topic: string, queueId: number): string => `${topic}@${queueId}`;
export const isQueueOf = (queue: string, topic: string): boolean => queue.startsWith(`${topic}@`);

/** Told when the store begins to delete a topic of the workload; the others are those of POP. */
export type DeletionListeners = ReadonlyMap<string, () => void>;

export interface Watchers {
  readonly model: BrokerModel;
  readonly pops: PopModel | undefined;
  readonly machine: FrontMachine;
  readonly listeners: DeletionListeners;
}

/** In which turn of the event loop something is committed or taken back decides what a crash may leave. */
export function watch(context: BrokerContext, { model, pops, machine, listeners }: Watchers): void {
  const { store, offsets, groups } = context;
  const { deleteTopic } = store;
  store.deleteTopic = async (topic, more) => {
    const listener = listeners.get(topic);
    listener?.();
    if (listener !== undefined) return deleteTopic.call(store, topic, more);
    const deletion = machine.deletions.deletionBegun(topic, store.maxPhyOffset);
    pops?.deletionBegun(topic, deletion.below);
    await deleteTopic.call(store, topic, more);
    machine.deletions.deletionAnswered(deletion);
    pops?.deletionHolds(topic);
  };
  const { commit, removeTopic, removeGroup, assignResets } = offsets;
  offsets.commit = (group, topic, queueId, offset) => {
    const isKept = commit.call(offsets, group, topic, queueId, offset);
    if (isKept && group === GROUP) model.committed(queueName(topic, queueId), offset);
    return isKept;
  };
  offsets.removeTopic = (topic) => {
    removeTopic.call(offsets, topic);
    pops?.offsetsRemoved(topic);
    model.takenBack((queue) => isQueueOf(queue, topic), NONE);
  };
  offsets.removeGroup = (group) => {
    removeGroup.call(offsets, group);
    if (group === GROUP) model.takenBack(() => true, NONE);
    else pops?.groupRemoved(group);
  };
  offsets.assignResets = (group, topic, targets) => {
    if (group !== GROUP) pops?.resetAssigned(group, topic, targets);
    for (const [queueId, offset] of group === GROUP ? targets : []) {
      const name = queueName(topic, queueId);
      model.takenBack((queue) => queue === name, offset);
    }
    return assignResets.call(offsets, group, topic, targets);
  };
  const { update, delete: remove } = groups;
  groups.update = (group) => {
    if (group.groupName === GROUP) model.groupUsed();
    update.call(groups, group);
  };
  groups.delete = (group) => {
    if (group === GROUP) model.groupRemoved();
    return remove.call(groups, group);
  };
  if (pops !== undefined) watchPuts(context, pops);
}

/** What the broker puts of its own for POP, and is not told whether it is there. */
function watchPuts({ put }: BrokerContext, pops: PopModel): void {
  const original = put.put;
  put.put = (message, caller, origin, answer) =>
    original.call(put, message, caller, origin, (outcome) => {
      const isDone = !(outcome instanceof Refusal) && outcome.code === ResponseCode.SUCCESS;
      if (!isDone && (origin === 'pop' || origin === 'revive')) pops.uncertain();
      return answer(outcome);
    }) as ReturnType<typeof answer>;
}
