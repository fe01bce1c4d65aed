import { createResponse, type RemotingCommand, ResponseCode, subscriptionDataJson } from '@vernier/remoting';
import type { QueueEntry } from '@vernier/store';
import { isExtAddress } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { addJoined } from '../long-answers/answer-text.ts';
import { granted, json, longAnswer, requiredNumber, requiredText, success } from './requests.ts';

/** CLEAN_EXPIRED_CONSUMEQUEUE */
export async function cleanExpiredQueues(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  await broker.queues.cleanExpired();
  return success(request);
}

/** DELETE_EXPIRED_COMMITLOG. Answered before a file is gone, as with RocketMQ. */
export function deleteExpiredLog(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  broker.queues.deleteExpiredLogFiles();
  return success(request);
}

/** CLEAN_UNUSED_TOPIC */
export async function cleanUnused(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  await broker.topicAdmin.cleanUnused();
  return success(request);
}

/** QUERY_CONSUME_QUEUE */
export async function queryConsumeQueue(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const topic = requiredText(fields, 'topic');
  const queueId = requiredNumber(fields, 'queueId');
  const index = requiredNumber(fields, 'index');
  const queue = granted(await broker.queues.entries(topic, queueId, index, requiredNumber(fields, 'count')));
  const { entries } = queue;
  const head = {
    maxQueueIndex: queue.maxOffset,
    minQueueIndex: queue.minOffset,
    ...subscriptionOf(broker, topic, fields?.consumerGroup),
  };
  const answer = await longAnswer(broker, request, caller, async (text) => {
    await text.add(JSON.stringify(head).slice(0, -1));
    // A missing list is what mqadmin takes for "nothing there"; an empty one would be as good.
    if (entries.length > 0) {
      await text.add(',"queueData":[');
      await addJoined(text, entries.map(entryText));
      await text.add(']');
    }
    await text.add('}');
  });
  if (answer !== undefined && entries.length === 0) {
    answer.remark = `Index ${index} of ${queueId}@${topic} is not exist!`;
  }
  return answer;
}

/** What the group subscribes to, as far as it is online. */
function subscriptionOf(broker: BrokerContext, topic: string, group: string | undefined): object {
  if (group === undefined) return {};
  const subscription = broker.progress.subscription(group, topic);
  if (subscription === undefined) return { filterData: `${group}@${topic} is not online!` };
  return { filterData: 'null', subscriptionData: subscriptionDataJson(subscription) };
}

function entryText({ commitLogOffset, size, tagsCode }: QueueEntry): string {
  const entry = { eval: false, physicOffset: commitLogOffset, physicSize: size, tagsCode };
  return JSON.stringify(!isExtAddress(tagsCode) ? entry : { ...entry, msg: `Cq extend not exist!addr: ${tagsCode}` });
}

/** A master without replicas: there is no replication yet (RocketMQ HARuntimeInfo). */
export function haStatus(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const status = {
    haClientRuntimeInfo: {
      activated: false,
      lastReadTimestamp: 0,
      lastWriteTimestamp: 0,
      masterFlushOffset: 0,
      maxOffset: 0,
      transferredByteInSecond: 0,
    },
    haConnectionInfo: [],
    inSyncSlaveNums: 0,
    master: true,
    masterCommitLogMaxOffset: broker.queues.logEnd,
  };
  return json(request, status);
}

/** RESET_MASTER_FLUSH_OFFSET tells a slave how far its master has flushed; a master has nothing to take over. */
export const resetMasterFlushOffset = (_: BrokerContext, request: RemotingCommand): RemotingCommand => success(request);

/** GET_BROKER_EPOCH_CACHE: epochs are given by a controller, and there is none here. */
export const epochCache = (_: BrokerContext, request: RemotingCommand): RemotingCommand =>
  createResponse(request, ResponseCode.SYSTEM_ERROR, 'this request only for controllerMode ');
