/** Requests of remoting: every code, with fields and bodies that are expected, odd and hostile. */
import { encodeHeartbeatData, type RemotingCommand, RequestCode, tagSubscription } from '@vernier/remoting';
import { frameOf, withHostileMembers } from '../hostile.ts';
import { mutate, someJson, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { requestBodies } from '../sound-bodies.ts';
import { someCommand } from './frames.ts';
import { FIELD_VALUES, HOLDS } from './live-fields.ts';

const FIELDS = Object.keys(FIELD_VALUES);
const JSON_NAMES = [
  ...['clientID', 'producerDataSet', 'consumerDataSet', 'groupName', 'subscriptionDataSet', 'topic', 'subString'],
  ...[
    'tagsSet',
    'codeSet',
    'mqSet',
    'queueId',
    'brokerName',
    'consumerGroup',
    'topicConfigSerializeWrapper',
    'dataVersion',
  ],
  ...['topicConfigTable', 'counter', 'timestamp', 'stateVersion', 'topicName', 'perm', 'readQueueNums', 'offsetTable'],
  ...['writeQueueNums', 'topicConfigList', 'attributes', 'retryMaxTimes', 'consumeEnable', 'filterServerList', 'table'],
];
const CODES = Object.values(RequestCode);
/** Codes that are meant to end or change what the oracle itself relies on. */
const NOT_SENT = new Set<number>([RequestCode.UPDATE_BROKER_CONFIG, RequestCode.WIPE_WRITE_PERM_OF_BROKER]);

const HELD_CODES = new Set<number>([
  ...[RequestCode.PULL_MESSAGE, RequestCode.LITE_PULL_MESSAGE, RequestCode.POP_MESSAGE, RequestCode.NOTIFICATION],
  RequestCode.POP_LITE_MESSAGE,
]);
/** Requests that stand in front of one another in the life of a message that is popped. */
const POP_CODES = [
  ...[RequestCode.POP_MESSAGE, RequestCode.POP_MESSAGE, RequestCode.ACK_MESSAGE, RequestCode.BATCH_ACK_MESSAGE],
  ...[RequestCode.CHANGE_MESSAGE_INVISIBLETIME, RequestCode.NOTIFICATION, RequestCode.PEEK_MESSAGE],
];

function someBody(random: Random): Buffer | undefined {
  // What its code reads is one of these; which one, the code decides.
  if (random.chance(0.4)) return Buffer.from(withHostileMembers(random, random.pick(requestBodies)).text);
  switch (random.below(5)) {
    case 0:
      return undefined;
    case 1:
      return random.bytes(random.skewed(20_000));
    case 2:
      return Buffer.from(someText(random));
    case 3:
      return Buffer.from(someJson(random, JSON_NAMES));
    default: {
      const heartbeat = encodeHeartbeatData({
        clientID: 'fuzz@1',
        producerGroups: ['group-a'],
        consumers: [
          {
            groupName: 'group-a',
            consumeType: 'CONSUME_PASSIVELY',
            messageModel: 'CLUSTERING',
            consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
            subscriptionDataSet: [tagSubscription('fuzz-a', '*', 1)],
            unitMode: false,
          },
        ],
        heartbeatFingerprint: 0,
        withoutSub: false,
      });
      return random.chance(0.5) ? heartbeat : mutate(random, heartbeat);
    }
  }
}

/** A request of any code; half of its fields hold what is expected there, the others anything. */
export function someRequest(random: Random): RemotingCommand {
  let code: number = random.chance(0.95) ? random.pick(CODES) : random.below(70_000) - 2_000;
  if (NOT_SENT.has(code)) code = RequestCode.SEND_MESSAGE_V2;
  if (random.chance(0.15))
    code = random.pick([RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_BATCH_MESSAGE, RequestCode.PULL_MESSAGE]);
  if (random.chance(0.1)) code = random.pick(POP_CODES);
  const request = someCommand(random, code, someBody(random));
  request.flag = random.chance(0.05) ? 2 : 0;
  if (code < -32_768 || code > 32_767) request.serializeType = 0;
  if (random.chance(0.9)) {
    const strange = random.pick([0, 0, 0.1, 0.5]);
    request.extFields = {};
    for (const name of FIELDS) {
      if (random.chance(0.1)) continue;
      const isStrange = !HOLDS.has(name) && random.chance(strange);
      request.extFields[name] = isStrange ? someText(random).slice(0, 2_000) : FIELD_VALUES[name]!(random);
    }
  }
  return request;
}

/** A request whose header holds what no header should; `isAnswerable` when its answer can be told from others. */
export function hostileRequest(random: Random, opaque: number): { bytes: Buffer; isAnswerable: boolean } {
  const request = someRequest(random);
  const header = {
    ...{ code: request.code, extFields: request.extFields ?? {}, flag: 0, language: 'JAVA', opaque, version: 513 },
    ...{ remark: 'r', serializeTypeCurrentRPC: 'JSON' },
  };
  const { text, touched } = withHostileMembers(random, header);
  // It may ask to be held for an hour.
  const mayBeHeld = HELD_CODES.has(request.code) && touched.has('extFields');
  const isAnswerable = !['', 'opaque', 'flag'].some((name) => touched.has(name)) && !mayBeHeld;
  return { bytes: frameOf(text, request.body), isAnswerable };
}
