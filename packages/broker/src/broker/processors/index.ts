import type { RequestHandler } from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { brokerAdmin } from './broker-admin.ts';
import { clientManage } from './client-manage.ts';
import { connectionAdmin } from './connection-admin.ts';
import { consumeStatsAdmin } from './consume-stats-admin.ts';
import { consumerManage } from './consumer-manage.ts';
import { consumerSendMsgBack } from './consumer-send-msg-back.ts';
import { lockBatchMq } from './lock-batch-mq.ts';
import { PullMessageProcessor } from './pull-message.ts';
import { queryMessage } from './query-message.ts';
import { queueOffsets } from './queue-offsets.ts';
import { resetOffset } from './reset-offset.ts';
import { SendMessageProcessor } from './send-message.ts';
import { subscriptionGroupAdmin } from './subscription-group-admin.ts';
import { topicAdmin } from './topic-admin.ts';

/** Every request code the broker serves, with its handler; all others get REQUEST_CODE_NOT_SUPPORTED. */
export function allProcessors(broker: BrokerContext): [number, RequestHandler][] {
  return [
    ...new SendMessageProcessor(broker).handlers(),
    ...new PullMessageProcessor(broker).handlers(),
    ...consumerSendMsgBack(broker),
    ...clientManage(broker),
    ...consumerManage(broker),
    ...queueOffsets(broker),
    ...queryMessage(broker),
    ...lockBatchMq(broker),
    ...topicAdmin(broker),
    ...subscriptionGroupAdmin(broker),
    ...consumeStatsAdmin(broker),
    ...connectionAdmin(broker),
    ...resetOffset(broker),
    ...brokerAdmin(broker),
  ];
}
