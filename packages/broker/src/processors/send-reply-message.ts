import {
  createResponse,
  type ExtFields,
  isOneway,
  offsetHex,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { requiredText } from './requests.ts';
import { parseSendMessageHeader } from './send-message-header.ts';

/** SEND_REPLY_MESSAGE, SEND_REPLY_MESSAGE_V2 */
export async function sendReplyMessage(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const { config, hosts, reply } = broker;
  const isShort = request.code === RequestCode.SEND_REPLY_MESSAGE_V2;
  const producerGroup = requiredText(request.extFields, isShort ? 'a' : 'producerGroup');
  const answer = (why: Refusal | undefined, fields?: ExtFields): RemotingCommand | undefined => {
    if (isOneway(request)) return undefined;
    const marks = { MSG_REGION: config.regionId, TRACE_ON: String(config.traceOn) };
    return createResponse(request, why?.code ?? ResponseCode.SUCCESS, why?.remark, { ...fields, ...marks });
  };
  const header = parseSendMessageHeader(request);
  if (header === undefined) {
    const remark = 'queueId, sysFlag, bornTimestamp or flag is no whole number';
    return answer(new Refusal(ResponseCode.INVALID_PARAMETER, remark));
  }
  const outcome = await reply.reply({ ...header, producerGroup }, caller);
  if (outcome instanceof Refusal) return answer(outcome);
  const { refusal, stored } = outcome;
  // A client cannot read a good answer without these three, whatever became of the record (RocketMQ's zeros).
  const isStored = stored !== undefined && !(stored instanceof Refusal);
  return answer(refusal, {
    msgId: isStored ? hosts.messageIdPrefix + offsetHex(stored.logOffset) : '0',
    queueId: String(isStored ? stored.queueId : Math.max(0, header.queueId)),
    queueOffset: String(isStored ? stored.queueOffset : 0),
  });
}
