import { asObject, type JsonObject } from '@vernier/remoting';
import { type Budget, textBytes } from '../base/budget.ts';

/** How the members of a group get the messages of a topic. */
export interface RequestMode {
  readonly topic: string;
  readonly consumerGroup: string;
  readonly mode: 'PULL' | 'POP';
  /** Of POP: how many members beside its own share a member's queues; 0 and less: all of them pop all queues. */
  readonly popShareQueueNum: number;
}

const INT32_MAX = 0x7fff_ffff;

const modeBytes = ({ topic, consumerGroup }: RequestMode): number =>
  300 + 2 * textBytes(topic) + 2 * textBytes(consumerGroup);

/** What an operator set, messageRequestMode.json as RocketMQ keeps it (MessageRequestModeManager). */
export class RequestModes {
  readonly #changed: () => void;
  readonly #budget: Budget;
  readonly #modes = new Map<string, Map<string, RequestMode>>();

  /** `changed` is called after each change: the table has to be saved. */
  constructor(changed: () => void, budget: Budget) {
    this.#changed = changed;
    this.#budget = budget;
  }

  get(topic: string, group: string): RequestMode | undefined {
    return this.#modes.get(topic)?.get(group);
  }

  /** False, and nothing is changed, when there is no room; `refusal` says why. */
  set(mode: RequestMode): boolean {
    const known = this.get(mode.topic, mode.consumerGroup);
    if (!this.#budget.take(modeBytes(mode) - (known === undefined ? 0 : modeBytes(known)))) return false;
    this.#put(mode);
    this.#changed();
    return true;
  }

  get refusal(): string {
    return this.#budget.reason;
  }

  #put(mode: RequestMode): void {
    const groups = this.#modes.get(mode.topic);
    if (groups === undefined) this.#modes.set(mode.topic, new Map([[mode.consumerGroup, mode]]));
    else groups.set(mode.consumerGroup, mode);
  }

  /** Takes over a parsed messageRequestMode.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { messageRequestModeMap } = asObject(file, 'messageRequestMode.json');
    for (const [topic, groups] of Object.entries(asObject(messageRequestModeMap, 'messageRequestModeMap'))) {
      for (const [consumerGroup, value] of Object.entries(asObject(groups, topic))) {
        const mode = requestModeOf(asObject(value, consumerGroup), topic, consumerGroup);
        if (mode === undefined) continue;
        const known = this.get(topic, consumerGroup);
        // What is there stays, whatever the budget is.
        this.#budget.add(modeBytes(mode) - (known === undefined ? 0 : modeBytes(known)));
        this.#put(mode);
      }
    }
  }

  /** messageRequestMode.json in pieces, one topic each. */
  *encode(): Iterable<string> {
    yield '{\n"messageRequestModeMap":{';
    let separator = '\n';
    for (const [topic, groups] of this.#modes) {
      yield `${separator}${JSON.stringify(topic)}:${JSON.stringify(Object.fromEntries(groups))}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }
}

/** Undefined for what says neither PULL nor POP. */
export function requestModeOf(value: JsonObject, topic: string, consumerGroup: string): RequestMode | undefined {
  const { mode, popShareQueueNum } = value;
  if (mode !== 'PULL' && mode !== 'POP') return undefined;
  const share = typeof popShareQueueNum === 'number' && Number.isInteger(popShareQueueNum) ? popShareQueueNum : 0;
  return { topic, consumerGroup, mode, popShareQueueNum: Math.min(Math.max(share, -1), INT32_MAX) };
}
