import type { Settings } from '../wire/messages.ts';
import type { Names } from './backend.ts';

/** The members of requests that name a topic or a group. */
interface Naming {
  readonly topic?: Named;
  readonly group?: Named;
  readonly messageQueue?: { readonly topic?: Named } | null;
  /** All are of one topic, which is looked at later. */
  readonly messages?: readonly { readonly topic?: Named }[] | null;
  readonly settings?: Settings | null;
}

type Named = { readonly name?: string | null } | null | undefined;

const namesIn = (...named: readonly Named[]): string[] =>
  named.flatMap((one) => (one?.name === undefined || one.name === null || one.name === '' ? [] : [one.name]));

/** What a call has to know of, by its message. */
export function namesOf(message: unknown): Names {
  const { topic, group, messageQueue, messages, settings } = message as Naming;
  const subscription = settings?.subscription;
  const listed = [
    ...(settings?.publishing?.topics ?? []),
    ...(subscription?.subscriptions ?? []).map((entry) => entry.topic),
  ];
  const topics = namesIn(topic, messageQueue?.topic, messages?.[0]?.topic, ...listed);
  // A heartbeat and a farewell need nothing of their group.
  return { topics, groups: topics.length === 0 ? [] : namesIn(group, subscription?.group) };
}
