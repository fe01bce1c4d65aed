import {
  type BatchMessage,
  createResponse,
  decodeBatchBody,
  isOneway,
  MessageSysFlag,
  offsetHex,
  Perm,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  type TopicConfig,
  TopicSysFlag,
  TRANSACTION_MASK,
} from '@vernier/remoting';
import type { MessageExtBrokerInner, PutMessageResult } from '@vernier/store';
import type { BrokerContext } from '../broker-context.ts';
import { groupOfRetryTopic, isNotAllowedSendTopic, isRetryTopic, isWriteable, topicNameFault } from '../names.ts';
import {
  brokerPropertyNames,
  createUniqKey,
  getProperty,
  HAS_BROKER_PROPERTIES,
  HAS_DELAY,
  HAS_POP_CK,
  HAS_TIMER,
  HAS_TRAN_MSG,
  HAS_UNIQ_KEY,
  inspectProperties,
  propertyEntry,
  removeProperties,
  terminated,
} from '../properties.ts';
import { isStored, remarkOfPut, responseCodeOfPut } from '../put-result.ts';
import { divertToDeadLetterQueue } from '../retry.ts';
import { parseSendMessageHeader, type SendMessageHeader } from '../send-message-header.ts';

const isInt = Number.isSafeInteger;

const EMPTY_BODY = Buffer.alloc(0);
/** Bits that the broker decides alone: address families and inner batches. A client's say would make records unreadable. */
const BROKER_BITS =
  MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6 | MessageSysFlag.NEED_UNWRAP | MessageSysFlag.INNER_BATCH;
const BATCH_REFUSED = HAS_DELAY | HAS_TIMER | HAS_TRAN_MSG;
/** Dropped from what a producer sends: the broker writes its own, and POP_CK belongs to one delivery. */
const replacedNames: ReadonlySet<string> = new Set([...brokerPropertyNames, 'POP_CK']);

const randomQueueId = (topic: TopicConfig): number => Math.floor(Math.random() * Math.max(1, topic.writeQueueNums));

const sysFlagOf = (header: SendMessageHeader, topic: TopicConfig): number =>
  (header.sysFlag & ~BROKER_BITS) | (topic.topicFilterType === 'MULTI_TAG' ? MessageSysFlag.MULTI_TAGS : 0);

/**
 * SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE (RocketMQ SendMessageProcessor). The hot path of the broker: one
 * header object, one message object, one promise; the property string is scanned, not parsed.
 */
export class SendMessageProcessor {
  readonly #broker: BrokerContext;
  /** MSG_REGION, TRACE_ON and CLUSTER as Java stores them behind the producer's own properties. */
  readonly #ownProperties: string;
  readonly #region: string;
  readonly #traceOn: string;

  constructor(broker: BrokerContext) {
    this.#broker = broker;
    const { regionId, traceOn, brokerClusterName } = broker.config;
    this.#region = regionId;
    this.#traceOn = String(traceOn);
    this.#ownProperties =
      propertyEntry('MSG_REGION', regionId) +
      propertyEntry('TRACE_ON', this.#traceOn) +
      propertyEntry('CLUSTER', brokerClusterName);
  }

  handlers(): [number, RequestHandler][] {
    return [
      [RequestCode.SEND_MESSAGE, this.handle],
      [RequestCode.SEND_MESSAGE_V2, this.handle],
      [RequestCode.SEND_BATCH_MESSAGE, this.handle],
    ];
  }

  readonly handle = (
    request: RemotingCommand,
    connection: RemotingConnection,
  ): RemotingCommand | Promise<RemotingCommand | undefined> => {
    const header = parseSendMessageHeader(request);
    if (!(isInt(header.queueId) && isInt(header.sysFlag) && isInt(header.bornTimestamp) && isInt(header.flag))) {
      return this.#refuse(
        request,
        ResponseCode.INVALID_PARAMETER,
        'queueId, sysFlag, bornTimestamp or flag is no whole number',
      );
    }
    if (!isInt(header.reconsumeTimes)) header.reconsumeTimes = 0;
    const topic = this.#broker.topics.select(header.topic);
    // A known topic has a legal name; the checks that remain for it are a set lookup and two comparisons.
    const checked = topic ?? this.#checkUnknownTopic(request, header, connection);
    if ('flag' in checked) return checked;
    const refusal = this.#check(request, header, checked, connection);
    if (refusal !== undefined) return refusal;
    if (header.batch || request.code === RequestCode.SEND_BATCH_MESSAGE) {
      return this.#sendBatch(request, header, checked, connection);
    }
    return this.#send(request, header, checked, connection);
  };

  #refuse(request: RemotingCommand, code: number, remark: string): RemotingCommand {
    return createResponse(request, code, remark, { MSG_REGION: this.#region, TRACE_ON: this.#traceOn });
  }

  /** The name's checks, then auto-creation; the topic or the refusal. */
  #checkUnknownTopic(
    request: RemotingCommand,
    header: SendMessageHeader,
    connection: RemotingConnection,
  ): TopicConfig | RemotingCommand {
    const fault = topicNameFault(header.topic);
    if (fault !== undefined) return this.#refuse(request, ResponseCode.INVALID_PARAMETER, fault);
    const retry = isRetryTopic(header.topic);
    const topicSysFlag = header.unitMode ? (retry ? TopicSysFlag.UNIT_SUB : TopicSysFlag.UNIT) : 0;
    const { topics } = this.#broker;
    const created = isNotAllowedSendTopic(header.topic)
      ? undefined
      : (topics.createInSendMessage(
          header.topic,
          header.defaultTopic,
          isInt(header.defaultTopicQueueNums) ? header.defaultTopicQueueNums : 4,
          topicSysFlag,
          connection.remoteAddress,
        ) ??
        (retry ? topics.createInSendMessageBack(header.topic, 1, Perm.READ | Perm.WRITE, topicSysFlag) : undefined));
    if (created !== undefined) return created;
    return isNotAllowedSendTopic(header.topic)
      ? this.#refuse(request, ResponseCode.NO_PERMISSION, `Sending message to topic[${header.topic}] is forbidden.`)
      : this.#refuse(request, ResponseCode.TOPIC_NOT_EXIST, `topic[${header.topic}] not exist, apply first please!`);
  }

  #check(
    request: RemotingCommand,
    header: SendMessageHeader,
    topic: TopicConfig,
    connection: RemotingConnection,
  ): RemotingCommand | undefined {
    const { config, clock } = this.#broker;
    if (config.startAcceptSendRequestTimeStamp > 0 && clock.now() < config.startAcceptSendRequestTimeStamp) {
      const until = new Date(config.startAcceptSendRequestTimeStamp).toISOString();
      return this.#refuse(request, ResponseCode.SYSTEM_ERROR, `broker unable to service, until ${until}`);
    }
    // Producers learn of a broker that takes no messages by the route, and leave it; an order topic has nowhere else to go.
    if (!isWriteable(config.brokerPermission) && topic.order) {
      return this.#refuse(
        request,
        ResponseCode.NO_PERMISSION,
        `the broker[${this.#broker.hosts.host}] sending message is forbidden`,
      );
    }
    if (isNotAllowedSendTopic(header.topic)) {
      return this.#refuse(
        request,
        ResponseCode.NO_PERMISSION,
        `Sending message to topic[${header.topic}] is forbidden.`,
      );
    }
    const queueCount = Math.max(topic.writeQueueNums, topic.readQueueNums);
    if (header.queueId >= queueCount) {
      return this.#refuse(
        request,
        ResponseCode.INVALID_PARAMETER,
        `request queueId[${header.queueId}] is illegal, topic ${topic.topicName} has ${queueCount} queues. Producer: ${connection.remoteAddress}`,
      );
    }
    return undefined;
  }

  #send(
    request: RemotingCommand,
    header: SendMessageHeader,
    topic: TopicConfig,
    connection: RemotingConnection,
  ): RemotingCommand | Promise<RemotingCommand | undefined> {
    const { store, putHooks, hosts, clock } = this.#broker;
    if (request.body === undefined || request.body.length === 0) {
      return this.#refuse(request, ResponseCode.MESSAGE_ILLEGAL, 'the message is illegal: its body is empty');
    }
    if ((header.sysFlag & TRANSACTION_MASK) !== 0 && !header.properties.includes('TRAN_MSG')) {
      return this.#refuse(
        request,
        ResponseCode.MESSAGE_ILLEGAL,
        'the message is illegal: sysFlag says transaction, TRAN_MSG does not',
      );
    }
    let properties = header.properties;
    const found = inspectProperties(properties);
    if ((found & (HAS_POP_CK | HAS_BROKER_PROPERTIES)) !== 0) properties = removeProperties(properties, replacedNames);
    properties = terminated(properties);
    let uniqKey: string | undefined;
    if ((found & HAS_UNIQ_KEY) === 0) {
      uniqKey = createUniqKey(clock.now());
      properties += propertyEntry('UNIQ_KEY', uniqKey);
    } else {
      uniqKey = getProperty(properties, 'UNIQ_KEY');
    }
    const message: MessageExtBrokerInner = {
      topic: header.topic,
      queueId: header.queueId < 0 ? randomQueueId(topic) : header.queueId,
      flag: header.flag,
      sysFlag: sysFlagOf(header, topic),
      bornTimestamp: header.bornTimestamp,
      bornHost: hosts.bornHost(connection),
      storeHost: hosts.storeHost,
      reconsumeTimes: header.reconsumeTimes,
      preparedTransactionOffset: 0,
      body: request.body,
      propertiesString: properties + this.#ownProperties,
    };
    if (isRetryTopic(header.topic)) {
      const fault = this.#retryTarget(request, header, message);
      if (fault !== undefined) return fault;
    }
    for (const hook of putHooks) {
      if ((hook.properties & found) === 0) continue;
      const refusal = hook.executeBeforePutMessage(message, found);
      if (refusal !== undefined) return this.#refuse(request, refusal.code, refusal.remark);
    }
    return this.#answer(request, message.topic, message.queueId, uniqKey, store.asyncPutMessage(message));
  }

  /** A message sent to a retry topic by its consumer (the fallback of CONSUMER_SEND_MSG_BACK). */
  #retryTarget(
    request: RemotingCommand,
    header: SendMessageHeader,
    message: MessageExtBrokerInner,
  ): RemotingCommand | undefined {
    const group = groupOfRetryTopic(header.topic);
    const config = this.#broker.groups.find(group);
    if (config === undefined) {
      return this.#refuse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${group}`);
    }
    const retryMax = isInt(header.maxReconsumeTimes) ? header.maxReconsumeTimes : config.retryMaxTimes;
    // An orderly consumer takes this way only when it has given up on the message.
    if (header.reconsumeTimes > retryMax || !this.#broker.locks.isLockAllExpired(group)) {
      divertToDeadLetterQueue(this.#broker, message, group);
    }
    return undefined;
  }

  #sendBatch(
    request: RemotingCommand,
    header: SendMessageHeader,
    topic: TopicConfig,
    connection: RemotingConnection,
  ): RemotingCommand | Promise<RemotingCommand | undefined> {
    const { store, hosts } = this.#broker;
    if (isRetryTopic(header.topic)) {
      return this.#refuse(
        request,
        ResponseCode.MESSAGE_ILLEGAL,
        `batch request does not support retry group ${header.topic}`,
      );
    }
    let messages: BatchMessage[];
    try {
      messages = decodeBatchBody(request.body ?? EMPTY_BODY);
    } catch (error) {
      return this.#refuse(request, ResponseCode.MESSAGE_ILLEGAL, `the message is illegal: ${(error as Error).message}`);
    }
    if (messages.length === 0) {
      return this.#refuse(request, ResponseCode.MESSAGE_ILLEGAL, 'the message is illegal: the batch holds no message');
    }
    for (const { propertiesString } of messages) {
      if ((inspectProperties(propertiesString) & BATCH_REFUSED) === 0) continue;
      const remark = 'the message is illegal: a batch holds no delayed or transactional messages';
      return this.#refuse(request, ResponseCode.MESSAGE_ILLEGAL, remark);
    }
    const queueId = header.queueId < 0 ? randomQueueId(topic) : header.queueId;
    const put = store.asyncPutMessages({
      topic: header.topic,
      queueId,
      sysFlag: sysFlagOf(header, topic) & ~TRANSACTION_MASK,
      bornTimestamp: header.bornTimestamp,
      bornHost: hosts.bornHost(connection),
      storeHost: hosts.storeHost,
      reconsumeTimes: header.reconsumeTimes,
      preparedTransactionOffset: 0,
      messages,
    });
    return this.#answer(request, header.topic, queueId, getProperty(header.properties, 'UNIQ_KEY'), put);
  }

  #answer(
    request: RemotingCommand,
    topic: string,
    queueId: number,
    uniqKey: string | undefined,
    put: Promise<PutMessageResult>,
  ): Promise<RemotingCommand | undefined> {
    return put.then((result) => {
      const { stats, clock } = this.#broker;
      const code = responseCodeOfPut(result);
      if (!isStored(code)) {
        stats.putFailed++;
        return this.#refuse(request, code, remarkOfPut(result) as string);
      }
      const now = clock.now();
      stats.countPut(now, topic, result.messageCount, result.wroteBytes);
      stats.putTimes.add(now - result.storeTimestamp);
      if (isOneway(request)) return undefined;
      const { messageIdPrefix } = this.#broker.hosts;
      const msgId =
        result.batchOffsets === undefined
          ? messageIdPrefix + offsetHex(result.wroteOffset)
          : result.batchOffsets.map((offset) => messageIdPrefix + offsetHex(offset)).join(',');
      return createResponse(request, code, remarkOfPut(result), {
        msgId,
        queueId: String(queueId),
        queueOffset: String(result.queueOffset),
        transactionId: uniqKey,
        MSG_REGION: this.#region,
        TRACE_ON: this.#traceOn,
      });
    });
  }
}
