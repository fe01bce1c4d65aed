// Random lives of consumers and of their proxy, by seed: the process is killed and the power cut, between calls and in the middle
// of them. Under SYNC_FLUSH what was answered holds: an ack, a dead letter, a change of time; and what was not comes again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@vernier/torture';
import { ackMessage, changeInvisibleDuration } from '../src/methods/ack-message.ts';
import { forwardMessage } from '../src/methods/dead-letters.ts';
import { Code, type Message } from '../src/wire/messages.ts';
import { timeOf } from '../src/wire/times.ts';
import { handleOf, MINUTE, ProxyMachine, SECOND } from './proxy-machine.ts';

/** `SEEDS=1000 FROM=1 npm test -- packages/proxy/test/receipt-history.test.ts` makes a long run. */
const SEEDS = Number(process.env.SEEDS ?? 16);
const FROM = Number(process.env.FROM ?? 1);
const STEPS = 60;
const CLIENTS = ['one', 'two'];
const INVISIBLE_MS = 30 * SECOND;
/** Of a consumer whose time is renewed: the first one. */
const RENEWED_MS = MINUTE;
/** A message comes again so long after its time at the latest, also when the broker has just begun. */
const LATE_MS = 3 * SECOND;
/** Calls end within so many events, and a crash comes into some of them before. */
const EVENTS_MAX = 16;
const CUT_RATE = 0.4;
const DEAD_LETTERS = '%DLQ%g';

/** What is known of a message. */
interface Sent {
  readonly body: string;
  /** `unknown`: it was asked for, and a crash came. `done`: it must not come again, unless there are copies of it. */
  ack: 'none' | 'unknown' | 'done';
  /** Forwards that were answered OK, and whether there was one that a crash came into. */
  forwards: number;
  isForwardUnknown: boolean;
  /** A crash came into a redelivery or a change: there may be more than one copy of it on its way. */
  isDoubled: boolean;
  /** It came again because its time was over. */
  hasExpired: boolean;
  /** Nobody else gets it before, Unix milliseconds; and it comes again at the latest then, Infinity: nobody knows. */
  heldUntil: number;
  dueAt: number;
  /** What its last consumer has, and who that is when its time is renewed. */
  message: Message | undefined;
  renewedFor: string | undefined;
  renewedSince: number;
  /** It was, and a proxy that has begun since may go on with it. */
  mayBeRenewed: boolean;
}

class History {
  readonly #machine: ProxyMachine;
  readonly #random: () => number;
  readonly #name: string;
  readonly #sent = new Map<string, Sent>();
  readonly #alive = new Set<string>();
  readonly #steps: string[] = [];
  readonly counts = { acks: 0, forwards: 0, changes: 0, again: 0, cuts: 0 };

  constructor(machine: ProxyMachine, seed: number) {
    this.#machine = machine;
    this.#random = seededRandom(seed);
    this.#name = `seed ${seed}`;
    machine.topic('T', undefined, 2);
    for (const client of CLIENTS) this.#join(client);
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #pick<Value>(values: readonly Value[]): Value {
    return values[this.#below(values.length)] as Value;
  }

  #join(client: string): void {
    this.#machine.consumer('g', 'T', { clientId: client });
    this.#alive.add(client);
  }

  #say(step: string): void {
    this.#steps.push(`${this.#machine.now % 10_000_000}: ${step}`);
  }

  #fail(why: string): never {
    assert.fail(`${this.#name}: ${why}\n${this.#steps.join('\n')}`);
  }

  async step(): Promise<void> {
    const kind = this.#below(100);
    if (kind < 15) await this.#send();
    else if (kind < 45) await this.#receive(this.#pick(CLIENTS), this.#random() < 0.6);
    else if (kind < 58) await this.#ack(this.#anyHeld());
    else if (kind < 66) await this.#change(this.#anyHeld());
    else if (kind < 78) await this.#forward(this.#anyHeld());
    else if (kind < 90) await this.#pass(this.#pick([SECOND, 7 * SECOND, 25 * SECOND, MINUTE, 2 * MINUTE]));
    else await this.#crash();
  }

  #anyHeld(): Sent | undefined {
    const held = [...this.#sent.values()].filter(({ message }) => message !== undefined);
    return held.length === 0 ? undefined : this.#pick(held);
  }

  async #send(): Promise<void> {
    const body = `m${this.#sent.size}`;
    this.#say(`send ${body}`);
    await this.#machine.sent('T', body);
    this.#sent.set(body, {
      ...{ body, ack: 'none', forwards: 0, isForwardUnknown: false, isDoubled: false, hasExpired: false },
      ...{ heldUntil: 0, dueAt: this.#machine.now, message: undefined, renewedFor: undefined, renewedSince: 0 },
      mayBeRenewed: false,
    });
  }

  /** The answer; undefined when a crash came first, in which case the next process is there. */
  async #call<Answer>(what: string, begin: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.#random() >= (what === 'receive' ? 0.05 : CUT_RATE)) return this.#machine.until(begin(), what);
    let answer: { value: Answer } | undefined;
    begin().then(
      (value) => {
        answer = { value };
      },
      () => {},
    );
    const { scheduler } = this.#machine.pop.broker.machine;
    await scheduler.run(() => answer !== undefined, this.#below(EVENTS_MAX));
    if (answer !== undefined) return answer.value;
    this.counts.cuts++;
    this.#say(`a crash comes into ${what}`);
    await this.#crash();
    return undefined;
  }

  async #receive(client: string, autoRenew: boolean): Promise<Message[]> {
    const machine = this.#machine;
    if (!this.#alive.has(client)) this.#join(client);
    this.#sayAlive();
    const more = autoRenew ? { autoRenew } : { invisibleDuration: timeOf(INVISIBLE_MS) };
    const began = machine.now;
    const request = machine.request('g', 'T', { ...more, longPollingTimeout: timeOf(5 * SECOND) });
    const received = await this.#call('receive', () => machine.begin(request, machine.call({ clientId: client })).done);
    if (received === undefined) {
      // What it was to get is with nobody.
      for (const sent of this.#sent.values()) if (sent.heldUntil < machine.now) this.#mayBeAnywhere(sent);
      return [];
    }
    this.#say(`${client} receives ${received.code} ${received.bodies.join()}${autoRenew ? ', renewed' : ''}`);
    for (const message of received.messages) this.#came(message, began, client, autoRenew);
    return received.messages;
  }

  #mayBeAnywhere(sent: Sent): void {
    Object.assign(sent, { isDoubled: true, dueAt: Number.POSITIVE_INFINITY });
  }

  #came(message: Message, began: number, client: string, autoRenew: boolean): void {
    const { now } = this.#machine;
    const body = Buffer.from(message.body!).toString();
    const sent = this.#sent.get(body)!;
    const { ack, isDoubled, heldUntil, renewedFor, renewedSince } = sent;
    if (ack === 'done' && !isDoubled) this.#fail(`${body} comes again after its ack`);
    const isRenewed = renewedFor !== undefined && now - renewedSince < 170 * MINUTE;
    if (!isDoubled && isRenewed) this.#fail(`${body} comes to ${client}, and ${renewedFor} works on it`);
    if (!isDoubled && now < heldUntil) this.#fail(`${body} comes to ${client}, and somebody has it until ${heldUntil}`);
    if (sent.message !== undefined || (message.systemProperties?.deliveryAttempt ?? 1) > 1) {
      sent.hasExpired = true;
      this.counts.again++;
    }
    const ms = autoRenew ? RENEWED_MS : INVISIBLE_MS;
    Object.assign(sent, { message, heldUntil: began + ms, renewedFor: autoRenew ? client : undefined });
    Object.assign(sent, {
      mayBeRenewed: autoRenew,
      renewedSince: began,
      dueAt: autoRenew ? Number.POSITIVE_INFINITY : now + ms,
    });
    if (ack === 'unknown') sent.ack = 'none';
  }

  async #ack(sent: Sent | undefined): Promise<void> {
    if (sent?.message === undefined) return;
    const { message, body } = sent;
    const entries = [{ messageId: message.systemProperties?.messageId ?? '', receiptHandle: handleOf(message) }];
    const request = { group: { name: 'g' }, topic: { name: 'T' }, entries };
    this.#release(sent);
    const answer = await this.#call('ack', () => ackMessage(this.#machine.proxy, request));
    this.#say(`ack of ${body}: ${answer?.status?.code}`);
    if (answer === undefined) sent.ack = 'unknown';
    else if (answer.status?.code === Code.OK) sent.ack = 'done';
    this.counts.acks += answer?.status?.code === Code.OK ? 1 : 0;
  }

  async #change(sent: Sent | undefined): Promise<void> {
    if (sent?.message === undefined) return;
    const { message, body } = sent;
    const ms = this.#pick([0, 12 * SECOND, 50 * SECOND]);
    const request = {
      ...{ group: { name: 'g' }, topic: { name: 'T' }, receiptHandle: handleOf(message) },
      invisibleDuration: timeOf(ms),
    };
    this.#release(sent);
    const began = this.#machine.now;
    const changed = await this.#call('change', () =>
      changeInvisibleDuration(this.#machine.proxy, request).catch(() => ({ status: undefined })),
    );
    this.#say(`change of ${body} to ${ms}: ${changed?.status?.code}`);
    if (changed === undefined) this.#mayBeAnywhere(sent);
    else if (changed.status?.code === Code.OK) {
      this.counts.changes++;
      Object.assign(sent, { mayBeRenewed: false, heldUntil: began + ms, dueAt: this.#machine.now + ms });
    }
    if (changed === undefined) sent.heldUntil = 0;
  }

  async #forward(sent: Sent | undefined): Promise<void> {
    if (sent?.message === undefined) return;
    const { message, body } = sent;
    const request = { group: { name: 'g' }, topic: { name: 'T' }, receiptHandle: handleOf(message) };
    // A receipt whose time is over is taken all the same, as RocketMQ takes it, and the message comes once more.
    const isInTime = sent.renewedFor !== undefined || this.#machine.now < sent.heldUntil;
    this.#release(sent);
    const call = this.#machine.call();
    const answer = await this.#call('forward', () =>
      forwardMessage(this.#machine.proxy, request, call).catch(() => ({ status: undefined })),
    );
    this.#say(`forward of ${body}: ${answer?.status?.code}`);
    // It is with the dead letters, or comes again, or both.
    if (answer === undefined) Object.assign(sent, { isForwardUnknown: true, dueAt: Number.POSITIVE_INFINITY });
    else if (answer.status?.code === Code.OK) {
      this.counts.forwards++;
      sent.forwards++;
      sent.ack = isInTime ? 'done' : 'unknown';
    }
  }

  /** Its consumer does something with it, once. What it was given may still hold others back. */
  #release(sent: Sent): void {
    sent.message = undefined;
    if (sent.renewedFor !== undefined) sent.dueAt = Number.POSITIVE_INFINITY;
    sent.renewedFor = undefined;
  }

  async #pass(ms: number): Promise<void> {
    this.#say(`${ms / SECOND} s`);
    for (let left = ms; left > 0; left -= 10 * SECOND) {
      await this.#machine.advance(Math.min(left, 10 * SECOND));
      this.#sayAlive();
    }
  }

  #sayAlive(): void {
    for (const clientId of this.#alive) this.#machine.proxy.clients.heartbeat(this.#machine.call({ clientId }));
  }

  async #crash(): Promise<void> {
    const how = this.#pick(['kill', 'cutPower'] as const);
    const { now } = this.#machine;
    for (const sent of this.#sent.values()) {
      const isOver = sent.heldUntil > 0 && sent.heldUntil <= now && sent.ack !== 'done';
      // A redelivery is made twice when a crash comes before its place is saved; and a renewal may be under way.
      const mayBeRenewing = sent.mayBeRenewed && now - sent.renewedSince > RENEWED_MS / 2;
      if (isOver || sent.hasExpired || mayBeRenewing) sent.isDoubled = true;
      sent.renewedFor = undefined;
    }
    if (how === 'kill') await this.#machine.kill();
    else await this.#machine.cutPower(this.#below(1_000));
    this.#say(how);
    for (const clientId of this.#alive) {
      try {
        this.#machine.proxy.clients.heartbeat(this.#machine.call({ clientId }));
      } catch {
        this.#join(clientId);
      }
    }
  }

  /** Everything whose time is over comes. */
  async collect(): Promise<void> {
    const began = this.#machine.now;
    const due = [...this.#sent.values()].filter(({ ack, dueAt }) => ack === 'none' && dueAt + LATE_MS <= began);
    const came = new Set<string>();
    for (let empty = 0; empty < 3; ) {
      const messages = await this.#receive('one', false);
      for (const { body } of messages) came.add(Buffer.from(body!).toString());
      empty = messages.length === 0 ? empty + 1 : 0;
    }
    for (const { body, dueAt, isDoubled } of due) {
      if (!came.has(body) && !isDoubled) this.#fail(`${body} was due at ${dueAt % 10_000_000}, and does not come`);
    }
  }

  /** What was sent has been acknowledged, or is a dead letter; and a dead letter is there once. */
  async drain(): Promise<void> {
    this.#say('drain');
    const machine = this.#machine;
    for (const client of [...this.#alive]) machine.proxy.clients.terminate(machine.call({ clientId: client }));
    this.#alive.clear();
    for (const sent of this.#sent.values()) {
      // Those of consumers that are gone come at once.
      if (sent.mayBeRenewed) sent.heldUntil = 0;
      this.#release(sent);
    }
    for (let round = 0; round < 14; round++) {
      machine.consumer('g', 'T', { clientId: 'last' });
      const { messages, bodies } = await machine.receive('g', 'T', {}, machine.call({ clientId: 'last' }));
      this.#say(`last receives ${bodies.join()}`);
      for (const message of messages) {
        this.#came(message, machine.now, 'last', false);
        const [, code] = await machine.ack('g', 'T', message);
        if (code === Code.OK) this.#sent.get(Buffer.from(message.body!).toString())!.ack = 'done';
      }
      await machine.advance(round < 8 ? MINUTE : 10 * MINUTE);
    }
    const dead = (await machine.stored(DEAD_LETTERS)).map(({ body }) => body.toString());
    for (const { body, ack, forwards, isForwardUnknown, isDoubled } of this.#sent.values()) {
      const count = dead.filter((other) => other === body).length;
      if (ack === 'none' && count === 0) this.#fail(`${body} was never done with, and does not come`);
      if (count < Math.min(forwards, 1)) this.#fail(`${body} was forwarded, and is no dead letter`);
      if (count !== forwards && !isForwardUnknown && !isDoubled) {
        this.#fail(`${body} was forwarded ${forwards} times, and is there ${count} times`);
      }
    }
    assert.equal(machine.proxy.room.usedBytes, 0, 'all room is given back');
  }
}

test(`receipts: ${SEEDS} histories with kills and power cuts in calls, what was answered holds and nothing is lost`, async () => {
  const total = { acks: 0, forwards: 0, changes: 0, again: 0, cuts: 0 };
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    const history = new History(await ProxyMachine.start(), seed);
    for (let step = 0; step < STEPS; step++) {
      await history.step();
      if (step % 20 === 19) await history.collect();
    }
    await history.drain();
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += history.counts[name];
  }
  for (const [name, count] of Object.entries(total)) assert.ok(count > 0, `there are ${name}`);
});
