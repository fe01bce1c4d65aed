import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import {
  PROPERTY_INNER_MULTI_DISPATCH,
  PROPERTY_LITE_TOPIC,
  propertyOf,
  removeProperties,
  splitNames,
} from '@vernier/store/internal';
import { type Identity, topicAccess } from '../base/identity.ts';
import { liteTopicFault, lmqOf } from '../base/lite-names.ts';
import { Refusal } from '../base/refusal.ts';
import { propertyEntry } from './properties.ts';

const dispatchName: ReadonlySet<string> = new Set([PROPERTY_INNER_MULTI_DISPATCH]);

/**
 * A message with the property __LITE_TOPIC goes into the light queue of that lite topic of its topic, and into no other
 * (RocketMQ SendMessageProcessor). Says why it cannot.
 */
export function applyLiteTopic(message: MessageExtBrokerInner): Refusal | undefined {
  const lite = propertyOf(message.propertiesString, PROPERTY_LITE_TOPIC);
  if (lite === undefined) return undefined;
  const fault = liteTopicFault(lite);
  if (fault !== undefined) return new Refusal(ResponseCode.MESSAGE_ILLEGAL, `the message is illegal: ${fault}`);
  const others = removeProperties(message.propertiesString, dispatchName);
  message.propertiesString = others + propertyEntry(PROPERTY_INNER_MULTI_DISPATCH, lmqOf(message.topic, lite));
  return undefined;
}

/** Why somebody may not put a message into the light queues that it names beside its topic; each is a topic of its own. */
export function lightQueuesDenied(identity: Identity | undefined, properties: string): Refusal | undefined {
  if (identity === undefined) return undefined;
  const names = splitNames(propertyOf(properties, PROPERTY_INNER_MULTI_DISPATCH) ?? '');
  return identity.refusalOf(names.filter((name) => name !== '').map((name) => topicAccess(name, ['Pub'])));
}
