import type { ExtFields } from '@vernier/remoting';
import { CallerSession } from '../src/base/caller.ts';
import type { Client, ClientAnswer, TransactionCheck } from '../src/clients/client.ts';

/** A client without a connection; it is gone when somebody ends it. */
export class FakeClient extends CallerSession implements Client {
  disconnectedFor: string | undefined;
  onTold: (group: string) => void = () => {};
  onAsked: (code: number, fields: unknown, body: Buffer | undefined) => Promise<ClientAnswer> = () =>
    Promise.reject(new Error('nobody asks'));

  constructor(clientId = '', port = 1) {
    super(`127.0.0.1:${port}`, { address: Uint8Array.of(127, 0, 0, 1), port });
    this.clientId = clientId;
  }
  notifyConsumerIdsChanged(group: string): void {
    this.onTold(group);
  }
  checkTransactionState(_check?: TransactionCheck): boolean {
    return false;
  }
  ask(code: number, fields: unknown, body: Buffer | undefined): Promise<ClientAnswer> {
    return this.onAsked(code, fields, body);
  }
  tell(_code?: number, _fields?: ExtFields, _body?: Buffer): boolean {
    return false;
  }
  disconnect(reason: string): void {
    this.disconnectedFor = reason;
    this.end();
  }
}
