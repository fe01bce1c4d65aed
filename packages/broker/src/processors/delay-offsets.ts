import type { RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { success } from './requests.ts';

/** GET_ALL_DELAY_OFFSET */
export function delayOffsets({ delay }: BrokerContext, request: RemotingCommand): RemotingCommand {
  return success(request, undefined, Buffer.from(delay.offsetsText()));
}
