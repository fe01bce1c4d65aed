/** The checks that several methods make, with RocketMQ's codes (GrpcValidator, Validators). */
import { topicNameFault } from '@vernier/broker/internal';
import type { Backend } from './backend/backend.ts';
import { rules } from './limits.ts';
import { StatusError } from './status.ts';
import { Code, type Resource } from './wire/messages.ts';

const GROUP_LENGTH_MAX = 255;
const LEGAL_GROUP = /^[%|a-zA-Z0-9_-]+$/;
const SYSTEM_GROUP_PREFIX = 'CID_RMQ_SYS_';
/** Java's isISOControl. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what names and values must not hold
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;

export const hasControls = (text: string): boolean => CONTROLS.test(text);

/** Nothing but blanks, as Java's StringUtils.isBlank has it. */
export const isBlank = (text: string | null | undefined): boolean => (text ?? '').trim() === '';

/** The name of a topic that clients may use; throws ILLEGAL_TOPIC. The namespace is not looked at, as in RocketMQ. */
export function topicOf({ topics }: Pick<Backend, 'topics'>, resource: Resource | null | undefined): string {
  const name = resource?.name ?? '';
  const fault = topicNameFault(name);
  if (fault !== undefined) throw new StatusError(Code.ILLEGAL_TOPIC, fault);
  if (topics.isSystemTopic(name)) throw new StatusError(Code.ILLEGAL_TOPIC, 'cannot access system topic');
  return name;
}

/** The name of a consumer group; throws ILLEGAL_CONSUMER_GROUP. */
export function groupOf(resource: Resource | null | undefined): string {
  const name = resource?.name ?? '';
  const illegal = (why: string): StatusError => new StatusError(Code.ILLEGAL_CONSUMER_GROUP, why);
  if (isBlank(name)) throw illegal('the specified group is blank');
  if (name.length > GROUP_LENGTH_MAX) {
    throw illegal(`the specified group is longer than group max length ${GROUP_LENGTH_MAX}.`);
  }
  if (!LEGAL_GROUP.test(name)) {
    throw illegal(`the specified group[${name}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`);
  }
  if (name.startsWith(SYSTEM_GROUP_PREFIX)) throw illegal('cannot use system consumer group');
  return name;
}

/** Throws ILLEGAL_INVISIBLE_TIME. */
export function checkInvisibleTime(milliseconds: number, min: number): void {
  const illegal = (why: string): StatusError => new StatusError(Code.ILLEGAL_INVISIBLE_TIME, why);
  if (!(milliseconds >= min)) throw illegal(`the invisibleTime is too small. min is ${min}`);
  if (milliseconds > rules.invisibleMsMax) {
    throw illegal(`the invisibleTime is too large. max is ${rules.invisibleMsMax}`);
  }
}
