import { createResponse, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import type { Notification } from '../pop/notification-service.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { optionalFlag, optionalNumber, refused, requiredNumber, requiredText, success } from './requests.ts';

/** NOTIFICATION: answered when the group has a message to pop, or its time is over (E.10). */
export function notification(
  { pop }: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const wanted = {
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    queueId: requiredNumber(fields, 'queueId'),
    pollMs: optionalNumber(fields, 'pollTime', 0),
    bornTime: optionalNumber(fields, 'bornTime', 0),
    isOrdered: optionalFlag(fields, 'order'),
    attemptId: fields?.attemptId,
  };
  const { opaque, serializeType } = request;
  return new Promise((resolve, reject) => {
    let isHeld = false;
    const held = (): void => {
      isHeld = true;
      resolve(undefined);
    };
    pop.notifications.whenMessage(wanted, caller, held).then(
      (outcome) => {
        const answer = outcome === undefined ? undefined : answerOf({ opaque, serializeType }, outcome);
        if (!isHeld) resolve(answer);
        else if (answer !== undefined) caller.connection.send(answer);
      },
      (error: unknown) => {
        if (!isHeld) return reject(error);
        const remark = error instanceof Error ? error.message : String(error);
        caller.connection.send(createResponse({ opaque, serializeType }, ResponseCode.SYSTEM_ERROR, remark));
      },
    );
  });
}

function answerOf(
  request: Pick<RemotingCommand, 'opaque' | 'serializeType'>,
  outcome: Notification | Refusal,
): RemotingCommand {
  if (outcome instanceof Refusal) return createResponse(request, outcome.code, outcome.remark);
  const fields = { hasMsg: String(outcome.hasMessage), pollingFull: String(outcome.isPollingFull) };
  return createResponse(request, ResponseCode.SUCCESS, undefined, fields);
}

/** POLLING_INFO: how many pops of a group wait for a queue. */
export function pollingInfo(
  { pop }: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): RemotingCommand {
  const fields = request.extFields;
  const queue = {
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    queueId: requiredNumber(fields, 'queueId'),
  };
  const topic = pop.permission.topic(queue, caller);
  if (topic instanceof Refusal) return refused(request, topic);
  const count = pop.polling.countOf(queue.group, queue.topic, queue.queueId);
  return success(request, { pollingNum: String(count) });
}
