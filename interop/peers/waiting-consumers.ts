import type { BrokerPeer } from './broker-peer.ts';
import { askUntil } from './child.ts';
import type { ClientPeer } from './client-peer.ts';
import { unique } from './suite.ts';

/** A message as a Java consumer of these suites got it. */
export interface Delivery {
  index: string;
  run: string;
  fault: string | null;
  topic: string;
  reconsumeTimes: number;
  storeTimestamp: number;
  bornTimestamp: number;
  queueId: number;
  properties: Record<string, string>;
}

/** Java consumers of messages that wait, and what they got. */
export class WaitingConsumers {
  protected readonly client: ClientPeer;
  protected readonly broker: BrokerPeer;

  constructor(client: ClientPeer, broker: BrokerPeer) {
    this.client = client;
    this.broker = broker;
  }

  /** Resolves with the consumer's name. */
  async consume(topic: string, group: string, more: Record<string, number | boolean> = {}): Promise<string> {
    const name = unique('consumer');
    await this.client.call('delay.consume', { name, group, topic, namesrv: this.broker.namesrvAddr, ...more });
    return name;
  }

  deliveries(name: string): Promise<Delivery[]> {
    return this.client.call<Delivery[]>('delay.deliveries', { name });
  }

  async until(name: string, count: number, what: string): Promise<Delivery[]> {
    return askUntil(what, 60_000, undefined, async () => {
      const deliveries = await this.deliveries(name);
      return deliveries.length >= count ? deliveries : undefined;
    });
  }

  stop(name: string): Promise<unknown> {
    return this.client.call('delay.stop', { name });
  }
}
