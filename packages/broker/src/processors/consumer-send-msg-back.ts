import { MQVersion, type RemotingCommand } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { isTrue, refused, requiredNumber, requiredText, success } from './requests.ts';

/** CONSUMER_SEND_MSG_BACK: a consumer could not process a message. */
export async function consumerSendMsgBack(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand> {
  const fields = request.extFields;
  // Older clients send the field and do not mean it.
  const saysMax = request.version >= MQVersion.V3_4_9 && (fields?.maxReconsumeTimes ?? '') !== '';
  const refusal = await broker.sendBack.sendBack(
    {
      group: requiredText(fields, 'group'),
      logOffset: requiredNumber(fields, 'offset'),
      delayLevel: requiredNumber(fields, 'delayLevel'),
      maxReconsumeTimes: saysMax ? requiredNumber(fields, 'maxReconsumeTimes') : undefined,
      unitMode: isTrue(fields?.unitMode),
    },
    caller,
  );
  return refusal === undefined ? success(request) : refused(request, refusal);
}
