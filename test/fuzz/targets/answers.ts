/**
 * What the clients here read: a server that answers every request with a hostile header or body. A call ends with a value
 * or an error with a code of ours; the command's client, and the registrar of a broker, end in no other way either.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { FrameDecoder, RequestCode } from '@vernier/remoting';
import { Cluster, queuesOf } from '../../../packages/vernier/src/client/cluster.ts';
import { GroupMember } from '../../../packages/vernier/src/client/group-member.ts';
import { Puller } from '../../../packages/vernier/src/client/pull.ts';
import { frameOf, withHostileMembers } from '../hostile.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { answerBodies } from '../sound-bodies.ts';
import { expectOwnError, type Session, type Target, within } from '../target.ts';

const ANSWER_MS = 20_000;

class HostileServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Decides the answers of the round that is under way. */
  random: Random | undefined;

  constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  listen(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address() as { port: number };
        resolve(`127.0.0.1:${address.port}`);
      });
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const decoder = new FrameDecoder();
    socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk);
      for (let request = decoder.next(); request; request = decoder.next()) this.#answer(socket, request.opaque);
    });
  }

  #answer(socket: Socket, opaque: number): void {
    const random = this.random;
    if (random === undefined) return;
    const extFields = { offset: '5', nextBeginOffset: '6', minOffset: '0', maxOffset: '7', msgId: 'x', queueId: '0' };
    const header = { code: 0, extFields, flag: 1, language: 'JAVA', opaque, remark: 'r', version: 513 };
    const isHeader = random.chance(0.4);
    const { text, touched } = isHeader
      ? withHostileMembers(random, header)
      : { text: JSON.stringify(header), touched: new Set<string>() };
    const sound = random.pick(answerBodies);
    let body = Buffer.from(random.chance(0.7) ? withHostileMembers(random, sound).text : JSON.stringify(sound));
    if (random.chance(0.1)) body = Buffer.from(mutate(random, body));
    if (random.chance(0.05)) body = Buffer.alloc(0);
    socket.write(frameOf(text, body));
    // An answer that cannot be told whose it is, or does not say that it is one, would be waited for in vain.
    if (['', 'opaque', 'flag', 'code'].some((name) => touched.has(name))) socket.end();
  }
}

export const answers: Target = {
  name: 'answers',
  sessionRounds: 5_000,
  async open(): Promise<Session> {
    const server = new HostileServer();
    const address = await server.listen();
    const cluster = new Cluster(address);
    const puller = new Puller(cluster, 'group-a', '*');
    const member = new GroupMember(cluster, 'group-a', 'fuzz-a', '*');
    const queue = { topic: 'fuzz-a', brokerName: 'broker-a', queueId: 0, address };
    const calls: (() => Promise<unknown>)[] = [
      async () => queuesOf('fuzz-a', await cluster.route('fuzz-a'), 'read'),
      () => cluster.brokers(),
      () => cluster.call(address, RequestCode.GET_BROKER_RUNTIME_INFO),
      () => puller.end(queue),
      () => puller.beginning(queue, { timestamp: 1 }),
      () => puller.pull(queue, 0, false),
      () => member.committedOffset(queue),
      () => member.assignment(),
    ];
    return {
      async round(random) {
        server.random = random;
        const call = random.pick(calls);
        try {
          await within(ANSWER_MS, 'a call to a hostile server', call());
        } catch (error) {
          expectOwnError(error, 'a call to a hostile server', /^(REMOTING|CLI)_/);
        }
      },
      async close() {
        await cluster.close();
        server.close();
      },
    };
  },
};
