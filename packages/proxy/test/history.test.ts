// Random lives of consumers and of their proxy, with restarts, kills and power cuts in between: what was acknowledged does not
// come again, what is worked on comes to nobody else, and what was sent comes to somebody.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@vernier/torture';
import { Code, type Message } from '../src/wire/messages.ts';
import { MINUTE, ProxyMachine, SECOND } from './proxy-machine.ts';

const SEEDS = 12;
const STEPS = 80;
const CLIENTS = ['one', 'two'];

interface Held {
  readonly client: string;
  readonly message: Message;
  readonly body: string;
  /** Nobody else may get it: its consumer is there, and its time is renewed. Since when, in Unix milliseconds. */
  renewedSince: number | undefined;
}

class History {
  readonly machine: ProxyMachine;
  readonly #random: () => number;
  readonly #name: string;
  readonly #sent = new Set<string>();
  /** How often each came, and when the last time. */
  readonly #given = new Map<string, { count: number; at: number }>();
  readonly #acked = new Set<string>();
  readonly #alive = new Set<string>();
  /** A crash came while they were given to somebody: there may be a copy of them more. */
  readonly #copied = new Set<string>();
  #held: Held[] = [];
  readonly steps: string[] = [];

  constructor(machine: ProxyMachine, seed: number) {
    this.machine = machine;
    this.#random = seededRandom(seed);
    this.#name = `seed ${seed}`;
    machine.topic('T', undefined, 2);
    for (const client of CLIENTS) this.#join(client);
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #pick<Value>(values: readonly Value[]): Value | undefined {
    return values[this.#below(values.length)];
  }

  #join(client: string): void {
    this.machine.consumer('g', 'T', { clientId: client });
    this.#alive.add(client);
  }

  #fail(why: string): never {
    assert.fail(`${this.#name}: ${why}\n${this.steps.join('\n')}`);
  }

  async step(): Promise<void> {
    const kind = this.#below(100);
    if (kind < 15) await this.#send();
    else if (kind < 45) await this.#receive(this.#pick([...this.#alive]) ?? 'one', this.#random() < 0.8);
    else if (kind < 60) await this.#ack(this.#pick(this.#held));
    else if (kind < 67) await this.#change(this.#pick(this.#held));
    else if (kind < 90) await this.#pass(this.#pick([SECOND, 7 * SECOND, 30 * SECOND, MINUTE, 4 * MINUTE])!);
    else if (kind < 93) this.#leave(this.#pick([...this.#alive]));
    else await this.#end(this.#pick(['restart', 'kill', 'cutPower'] as const)!);
  }

  async #send(): Promise<void> {
    const body = `m${this.#sent.size}`;
    this.steps.push(`send ${body}`);
    await this.machine.sent('T', body);
    this.#sent.add(body);
  }

  async #receive(client: string, autoRenew: boolean): Promise<void> {
    const { machine } = this;
    if (!this.#alive.has(client)) this.#join(client);
    this.#sayAlive();
    const { messages, code } = await machine.receive('g', 'T', { autoRenew }, machine.call({ clientId: client }));
    const now = machine.now;
    this.steps.push(`${client} receives ${code} ${messages.map(({ body }) => Buffer.from(body!)).join()} at ${now}`);
    for (const message of messages) {
      const body = Buffer.from(message.body!).toString();
      if (this.#acked.has(body) && !this.#copied.has(body)) this.#fail(`${body} was acknowledged and came again`);
      const isOther = (held: Held): boolean => held.body === body && held.renewedSince !== undefined;
      const other = this.#copied.has(body) ? undefined : this.#held.find(isOther);
      if (other !== undefined) this.#fail(`${body} came to ${client} while ${other.client} works on it`);
      this.#given.set(body, { count: (this.#given.get(body)?.count ?? 0) + 1, at: now });
      this.#held = this.#held.filter((held) => held.body !== body);
      this.#held.push({ client, message, body, renewedSince: autoRenew ? now : undefined });
    }
  }

  async #ack(held: Held | undefined): Promise<void> {
    if (held === undefined) return;
    const [, code] = await this.machine.ack('g', 'T', held.message);
    this.steps.push(`ack of ${held.body}: ${code}`);
    if (code === Code.OK) this.#acked.add(held.body);
    else if (held.renewedSince !== undefined)
      this.#fail(`the ack of ${held.body}, which is worked on, is refused: ${code}`);
    this.#held = this.#held.filter((one) => one !== held);
  }

  async #change(held: Held | undefined): Promise<void> {
    if (held === undefined) return;
    const ms = this.#pick([0, 5 * SECOND, 40 * SECOND])!;
    const { machine } = this;
    try {
      const { code } = await machine.change('g', 'T', held.message, ms);
      this.steps.push(`change of ${held.body} to ${ms}: ${code}`);
    } catch (error) {
      this.steps.push(`change of ${held.body} to ${ms}: ${(error as Error).message}`);
      if (held.renewedSince !== undefined) this.#fail(`the change of ${held.body}, which is worked on, is refused`);
    }
    this.#held = this.#held.filter((one) => one !== held);
  }

  async #pass(ms: number): Promise<void> {
    const { machine } = this;
    this.steps.push(`${ms / SECOND} s`);
    for (let left = ms; left > 0; left -= 10 * SECOND) {
      await machine.advance(Math.min(left, 10 * SECOND));
      this.#sayAlive();
    }
    // A consumer that works for longer loses it.
    for (const held of this.#held)
      if (machine.now - (held.renewedSince ?? 0) > 170 * MINUTE) held.renewedSince = undefined;
  }

  #sayAlive(): void {
    const { machine } = this;
    for (const clientId of this.#alive) machine.proxy.clients.heartbeat(machine.call({ clientId }));
  }

  #leave(client: string | undefined): void {
    if (client === undefined) return;
    this.steps.push(`${client} goes`);
    this.machine.proxy.clients.terminate(this.machine.call({ clientId: client }));
    this.#alive.delete(client);
    this.#lose((held) => held.client === client);
  }

  async #end(how: 'restart' | 'kill' | 'cutPower'): Promise<void> {
    this.steps.push(how);
    await this.machine[how]();
    // What comes back is renewed on; what a kill may have lost, others may get.
    if (how !== 'restart') {
      // That a message comes again is done once more when the end of it was not saved.
      const since = this.machine.now - MINUTE;
      for (const [body, { count, at }] of this.#given) {
        if (!this.#acked.has(body) || (count > 1 && at > since)) this.#copied.add(body);
      }
      this.#lose(() => true);
    }
    for (const clientId of this.#alive) {
      try {
        this.machine.proxy.clients.heartbeat(this.machine.call({ clientId }));
      } catch {
        if (how === 'restart') this.#fail(`${clientId} is not known after a restart`);
        this.#join(clientId);
      }
    }
  }

  #lose(isLost: (held: Held) => boolean): void {
    for (const held of this.#held) if (isLost(held)) held.renewedSince = undefined;
  }

  /** Everything that was sent comes, and is acknowledged. */
  async drain(): Promise<void> {
    this.steps.push('drain');
    for (const client of [...this.#alive]) this.#leave(client);
    for (let round = 0; round < 60 && this.#acked.size < this.#sent.size; round++) {
      await this.#receive('last', false);
      for (const held of [...this.#held.filter(({ client }) => client === 'last')]) await this.#ack(held);
      await this.#pass(5 * MINUTE);
    }
    const lost = [...this.#sent].filter((body) => !this.#acked.has(body));
    if (lost.length > 0) this.#fail(`${lost.join()} did not come`);
    await this.#receive('last', false);
    assert.equal(this.machine.proxy.room.usedBytes, 0, 'all room is given back');
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`history ${seed}: restarts, kills and power cuts between receives, acks and renewals`, async () => {
    const history = new History(await ProxyMachine.start(), seed);
    for (let step = 0; step < STEPS; step++) await history.step();
    await history.drain();
  });
}
