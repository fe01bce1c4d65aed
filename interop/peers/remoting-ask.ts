/**
 * One question over RocketMQ's remoting protocol, in its JSON form, written apart from @vernier/remoting on purpose:
 * what asks whether a broker is ready must not share a fault with the broker.
 *
 *   4 bytes  length of everything after this field
 *   4 bytes  high byte 0 (JSON), low 24 bits header length
 *   n bytes  header, then the body
 */
import { connect } from 'node:net';
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls';

export interface Answer {
  code: number;
  remark?: string;
  extFields: Record<string, string>;
  body: Buffer;
}

let tls: ConnectionOptions | undefined;

/** From here on questions are asked by TLS, of whoever answers; undefined: in plaintext, as at first. */
export function askByTls(options: ConnectionOptions | undefined): void {
  tls = options;
}

export function ask(
  address: string,
  code: number,
  extFields: Record<string, string> = {},
  body: Uint8Array = Buffer.alloc(0),
  timeoutMs = 3_000,
): Promise<Answer> {
  const [host, port] = address.split(':');
  // A version of 4.9.4 or later; brokers shape some answers by it.
  const header = Buffer.from(
    JSON.stringify({
      code,
      extFields,
      flag: 0,
      language: 'JAVA',
      opaque: 1,
      serializeTypeCurrentRPC: 'JSON',
      version: 401,
    }),
  );
  const frame = Buffer.alloc(8);
  frame.writeInt32BE(4 + header.length + body.length, 0);
  frame.writeInt32BE(header.length, 4);
  return new Promise((resolve, reject) => {
    const socket =
      tls === undefined
        ? connect(Number(port), host)
        : connectSecurely({ ...tls, host, port: Number(port), rejectUnauthorized: false });
    const chunks: Buffer[] = [];
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer from ${address} within ${timeoutMs} ms`)));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${address} closed the connection without an answer`)));
    socket.on(tls === undefined ? 'connect' : 'secureConnect', () =>
      socket.write(Buffer.concat([frame, header, body])),
    );
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const received = Buffer.concat(chunks);
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      socket.removeAllListeners('close');
      socket.destroy();
      const headerLength = received.readInt32BE(4) & 0xffffff;
      if (received[4] !== 0) {
        reject(new Error(`${address} answered a JSON request with serialize type ${received[4]}`));
        return;
      }
      const head = JSON.parse(received.toString('utf8', 8, 8 + headerLength));
      resolve({
        code: head.code,
        remark: head.remark,
        extFields: head.extFields ?? {},
        body: received.subarray(8 + headerLength, 4 + received.readInt32BE(0)),
      });
    });
  });
}

/** RequestCode 105 GET_ROUTEINFO_BY_TOPIC: whether this topic has a queue that a client can reach. */
export async function hasRoute(namesrvAddr: string, topic: string): Promise<boolean> {
  const answer = await ask(namesrvAddr, 105, { topic, acceptStandardJsonOnly: 'true' });
  // Maps with numeric keys are written bare by the Java side, so the text is searched instead of parsed.
  return answer.code === 0 && /"queueDatas":\[\{/.test(answer.body.toString());
}
