import { createResponse, type RemotingCommand, type RemotingConnection, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { ForbiddenPull, type PullAsker, type PullOutcome } from '../pull/pull-request.ts';
import type { PullService } from '../pull/pull-service.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { parsePullMessageHeader } from './pull-message-header.ts';
import type { Processed } from './requests.ts';

/** PULL_MESSAGE and LITE_PULL_MESSAGE. */
export function pullMessage(broker: BrokerContext, request: RemotingCommand, caller: ConnectionCaller): Processed {
  const header = parsePullMessageHeader(request);
  if (typeof header === 'string') return createResponse(request, ResponseCode.INVALID_PARAMETER, header);
  const queue = broker.staticTopics.queue(header.topic, header.queueId);
  if (queue === undefined) {
    return broker.pull.pull(header, caller, new PullResponder(broker.pull, request, caller.connection, undefined));
  }
  if (queue instanceof Refusal) return createResponse(request, queue.code, queue.remark);
  const { queueId, delta } = queue;
  const physical = {
    ...header,
    queueId,
    queueOffset: header.queueOffset - delta,
    commitOffset: header.commitOffset - delta,
  };
  return broker.pull.pull(physical, caller, new PullResponder(broker.pull, request, caller.connection, delta));
}

/** A pull request as far as it is needed after its frame is gone; small, because ten thousand may be held. */
class PullResponder implements PullAsker<RemotingCommand> {
  readonly opaque: number;
  readonly serializeType: RemotingCommand['serializeType'];
  readonly #service: PullService;
  readonly #connection: RemotingConnection;
  /** Of a static topic: by how much the numbers that the client knows are greater. */
  readonly #delta: number | undefined;
  #reservedBytes = 0;

  constructor(
    service: PullService,
    request: RemotingCommand,
    connection: RemotingConnection,
    delta: number | undefined,
  ) {
    this.#delta = delta;
    this.#service = service;
    this.opaque = request.opaque;
    this.serializeType = request.serializeType;
    this.#connection = connection;
  }

  answer(outcome: PullOutcome): RemotingCommand {
    if (outcome instanceof Refusal) {
      this.unreserve();
      const fields = outcome instanceof ForbiddenPull ? { forbiddenType: String(outcome.forbiddenType) } : undefined;
      return createResponse(this, outcome.code, outcome.remark, fields);
    }
    const delta = this.#delta ?? 0;
    const response = createResponse(this, outcome.code, outcome.status, {
      suggestWhichBrokerId: String(outcome.suggestWhichBrokerId),
      nextBeginOffset: String(outcome.nextBeginOffset + delta),
      minOffset: String(outcome.minOffset + delta),
      maxOffset: String(outcome.maxOffset + delta),
      topicSysFlag: String(outcome.topicSysFlag),
      groupSysFlag: String(outcome.groupSysFlag),
      // Records have their numbers in the broker's queue.
      offsetDelta: this.#delta === undefined ? undefined : String(delta),
    });
    if (this.#reservedBytes > 0) {
      response.reservedBytes = this.#reservedBytes;
      this.#reservedBytes = 0;
    }
    if (outcome.messageCount > 0) {
      const { buffer } = outcome;
      response.body = buffer;
      response.release = () => this.#service.release(buffer);
    }
    return response;
  }

  send(answer: RemotingCommand): void {
    this.#connection.send(answer);
  }

  reserve(bytes: number): Promise<void> | undefined {
    this.#reservedBytes += bytes;
    return this.#connection.reserve(bytes);
  }

  unreserve(): void {
    if (this.#reservedBytes > 0) this.#connection.unreserve(this.#reservedBytes);
    this.#reservedBytes = 0;
  }
}
