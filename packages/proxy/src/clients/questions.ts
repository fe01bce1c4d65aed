import { randomBytes } from 'node:crypto';
import type { ClientAnswer, TransactionCheck } from '@vernier/broker/internal';
import { decodeRecord, RemotingError, RequestCode, ResponseCode } from '@vernier/remoting';
import type { Backend } from '../backend/backend.ts';
import type { BodyOpener } from '../messages/bodies.ts';
import { toClient } from '../messages/to-client.ts';
import type { Halves } from '../transactions/halves.ts';
import { Code, type Message, type Status, type TelemetryCommand } from '../wire/messages.ts';
import type { ClientQuestions, GrpcClient } from './grpc-client.ts';

export interface QuestionsParts {
  readonly broker: Pick<Backend, 'clock' | 'config' | 'logger'>;
  readonly bodies: BodyOpener;
  readonly halves: Halves;
}

type Fields = Readonly<Record<string, string | undefined>>;

interface Pending {
  readonly client: GrpcClient;
  readonly code: number;
  readonly answer: (answer: ClientAnswer) => void;
}

/** Questions that wait for an answer, of all clients. */
const PENDING_MAX = 1_000;

/** What the broker and its operators ask of clients, as commands of their telemetry streams (RocketMQ GrpcClientChannel). */
export class Questions implements Omit<ClientQuestions, 'gone'> {
  readonly #parts: QuestionsParts;
  readonly #pending = new Map<string, Pending>();

  constructor(parts: QuestionsParts) {
    this.#parts = parts;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** What is to become of the half? The answer comes as EndTransaction. */
  check(client: GrpcClient, { record, uniqKey, queueOffset, logOffset, brokerName }: TransactionCheck): boolean {
    if (client.telemetry === undefined || uniqKey === undefined) return false;
    const { topic } = decodeRecord(record, 0, false);
    this.#parts.halves.add(topic, uniqKey, { queueOffset, logOffset, brokerName });
    void this.#messageOf(record).then(
      (message) => client.telemetry?.write({ recoverOrphanedTransactionCommand: { message, transactionId: uniqKey } }),
      (error: unknown) => this.#parts.broker.logger.warn({ err: error }, 'a half cannot be given to its producer'),
    );
    return true;
  }

  /**
   * Asks for the state of the client's threads, or how it consumes a message; rejects REMOTING_TIMEOUT,
   * REMOTING_CONNECTION_CLOSED.
   */
  async ask(client: GrpcClient, code: number, fields: Fields, body?: Buffer): Promise<ClientAnswer> {
    if (code === RequestCode.GET_CONSUMER_RUNNING_INFO) {
      // There is nothing else that clients of gRPC can be asked.
      if (fields.jstackEnable !== 'true') return answerOf(ResponseCode.SUCCESS, {});
      return this.#asked(client, code, (nonce) => ({ printThreadStackTraceCommand: { nonce } }));
    }
    if (code === RequestCode.CONSUME_MESSAGE_DIRECTLY && body !== undefined) {
      const message = await this.#messageOf(body);
      return this.#asked(client, code, (nonce) => ({ verifyMessageCommand: { nonce, message } }));
    }
    return { ...answerOf(ResponseCode.REQUEST_CODE_NOT_SUPPORTED), remark: 'clients of gRPC cannot be asked that' };
  }

  /** The client does not have the lite topic any more. */
  unsubscribe(client: GrpcClient, { liteTopic }: Fields): boolean {
    return client.telemetry?.write({ notifyUnsubscribeLiteCommand: { liteTopic: liteTopic ?? '' } }) ?? false;
  }

  /** A command of a client that answers a question; anything else is passed over. */
  answered(client: GrpcClient, { status, threadStackTrace, verifyMessageResult }: TelemetryCommand): void {
    const nonce = threadStackTrace?.nonce ?? verifyMessageResult?.nonce;
    const pending = nonce === undefined ? undefined : this.#pending.get(nonce);
    if (pending === undefined || pending.client !== client) return;
    pending.answer(
      threadStackTrace === undefined || threadStackTrace === null
        ? verifyAnswer(status)
        : stackAnswer(status, threadStackTrace.threadStackTrace ?? ''),
    );
  }

  async #messageOf(record: Buffer): Promise<Message> {
    const message = decodeRecord(record, 0, false);
    return toClient(message, await this.#parts.bodies.open(message.body, message.sysFlag));
  }

  #asked(client: GrpcClient, code: number, command: (nonce: string) => TelemetryCommand): Promise<ClientAnswer> {
    const { clock, config } = this.#parts.broker;
    if (this.#pending.size >= PENDING_MAX) {
      throw new RemotingError('REMOTING_TIMEOUT', `${PENDING_MAX} questions wait for answers of clients`);
    }
    const nonce = randomBytes(16).toString('hex');
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clock.clearTimer(timer);
        client.signal.removeEventListener('abort', gone);
        this.#pending.delete(nonce);
      };
      const fail = (error: RemotingError): void => {
        done();
        reject(error);
      };
      const gone = (): void => fail(closed(client));
      const waitMs = config.callClientTimeoutMills;
      const timer = clock.setTimer(() => {
        fail(new RemotingError('REMOTING_TIMEOUT', `client ${client.clientId} gave no answer within ${waitMs} ms`));
      }, waitMs);
      client.signal.addEventListener('abort', gone, { once: true });
      const answer = (given: ClientAnswer): void => {
        done();
        resolve(given);
      };
      this.#pending.set(nonce, { client, code, answer });
      if (client.telemetry?.write(command(nonce)) !== true) gone();
    });
  }
}

const closed = ({ clientId }: GrpcClient): RemotingError =>
  new RemotingError('REMOTING_CONNECTION_CLOSED', `client ${clientId} has no stream over which it can be asked`);

const answerOf = (code: number, value?: object): ClientAnswer => ({
  code,
  remark: undefined,
  fields: undefined,
  body: value === undefined ? undefined : Buffer.from(JSON.stringify(value)),
});

/** RocketMQ ConsumerRunningInfo, of which clients of gRPC give one member. */
function stackAnswer(status: Status | null | undefined, jstack: string): ClientAnswer {
  if (status?.code === Code.OK) return answerOf(ResponseCode.SUCCESS, { jstack });
  return { ...answerOf(ResponseCode.SYSTEM_ERROR), remark: status?.message ?? 'verify message failed' };
}

const consumeResults: ReadonlyMap<Code, string> = new Map<Code, string>([
  [Code.OK, 'CR_SUCCESS'],
  [Code.FAILED_TO_CONSUME_MESSAGE, 'CR_LATER'],
  [Code.MESSAGE_CORRUPTED, 'CR_RETURN_NULL'],
]);

/** RocketMQ ConsumeMessageDirectlyResult. */
const verifyAnswer = (status: Status | null | undefined): ClientAnswer =>
  answerOf(ResponseCode.SUCCESS, {
    autoCommit: true,
    consumeResult: consumeResults.get(status?.code ?? Code.CODE_UNSPECIFIED),
    order: false,
    remark: 'from gRPC client',
    spentTimeMills: 0,
  });
