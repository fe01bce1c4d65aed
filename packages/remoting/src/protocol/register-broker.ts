import { constants, crc32, deflateSync } from 'node:zlib';
import { RemotingError } from '../errors.ts';
import { inflateBody } from '../inflate.ts';
import { dataVersionFromJson, dataVersionJson } from './data-version.ts';
import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import { parseJavaJson } from './java-json.ts';
import { asObject, asStrings, bodyObject, objectMap, stringMember } from './json-members.ts';
import {
  decodeTopicConfigText,
  encodeTopicConfigText,
  type TopicConfig,
  type TopicConfigTable,
  topicConfigTableFromJson,
  topicConfigTableJson,
} from './topic-config.ts';

/** Body of REGISTER_BROKER (103): RocketMQ RegisterBrokerBody. */
export interface RegisterBrokerBody {
  topicConfig: TopicConfigTable;
  filterServerList: string[];
  /**
   * Static-topic mappings by topic (TopicQueueMappingInfo), kept as the broker sent them and given back in routes.
   */
  topicQueueMappingInfo: Map<string, unknown>;
}

/** CRC-32 of a body as bodyCrc32 has it: never negative. */
export function bodyCrc32(body: Uint8Array): number {
  return crc32(body) & 0x7fffffff;
}

/**
 * Encodes the body. The compressed form is a zlib stream of
 *
 * | Bytes              | Field                                             |
 * |--------------------|---------------------------------------------------|
 * | 4 + n              | i32 length, dataVersion as JSON                   |
 * | 4                  | i32 number of topics                              |
 * | each 4 + n         | i32 length, topic text (`name r w perm filter …`) |
 * | 4 + n              | i32 length, filterServerList as JSON              |
 * | 4, each 4 + n      | i32 number of mappings, i32 length, mapping JSON; from V5_0_0 on |
 */
export function encodeRegisterBrokerBody(body: RegisterBrokerBody, compressed = false): Buffer {
  const mappings = [...body.topicQueueMappingInfo];
  if (!compressed) {
    return Buffer.from(
      JSON.stringify({
        filterServerList: body.filterServerList,
        topicConfigSerializeWrapper: {
          ...topicConfigTableJson(body.topicConfig),
          mappingDataVersion: dataVersionJson(body.topicConfig.dataVersion),
          topicQueueMappingDetailMap: {},
          topicQueueMappingInfoMap: Object.fromEntries(mappings),
        },
      }),
    );
  }
  const topics = [...body.topicConfig.topicConfigTable.values()];
  const pieces = [
    lengthPrefixed(JSON.stringify(dataVersionJson(body.topicConfig.dataVersion))),
    int32(topics.length),
    ...topics.map((topic) => lengthPrefixed(encodeTopicConfigText(topic))),
    lengthPrefixed(JSON.stringify(body.filterServerList)),
    int32(mappings.length),
    ...mappings.map(([, mapping]) => lengthPrefixed(JSON.stringify(mapping))),
  ];
  return deflateSync(Buffer.concat(pieces), { level: constants.Z_BEST_COMPRESSION });
}

/** First byte of a zlib stream; no JSON text begins with it. */
const ZLIB_MAGIC = 0x78;

/**
 * Decodes the body; a compressed one is unpacked outside of the event loop, and may unpack to what an uncompressed one
 * may have. Brokers of 5.x with compressedRegister say `compressed=false` and compress nonetheless, so the first byte
 * counts as well. Throws, or rejects with, REMOTING_BODY_INVALID or REMOTING_JSON_INVALID.
 */
export function decodeRegisterBrokerBody(
  body: Uint8Array | undefined,
  compressed: boolean,
): RegisterBrokerBody | Promise<RegisterBrokerBody> {
  if (!compressed && body?.[0] !== ZLIB_MAGIC) {
    const object = bodyObject(body, 'RegisterBrokerBody', FRAME_BYTES_MAX);
    const wrapper = asObject(object.topicConfigSerializeWrapper, 'topicConfigSerializeWrapper');
    return {
      topicConfig: topicConfigTableFromJson(wrapper),
      filterServerList: asStrings(object.filterServerList, 'filterServerList'),
      topicQueueMappingInfo: objectMap(wrapper.topicQueueMappingInfoMap, 'topicQueueMappingInfoMap'),
    };
  }
  return inflateBody(body ?? new Uint8Array(0), FRAME_BYTES_MAX).then(decodeInflated);
}

function decodeInflated(bytes: Buffer): RegisterBrokerBody {
  let position = 0;
  const number = (): number => {
    if (position + 4 > bytes.length) throw truncated(position, bytes.length);
    position += 4;
    return bytes.readInt32BE(position - 4);
  };
  const text = (): string => {
    const length = number();
    if (length < 0 || position + length > bytes.length) throw truncated(position, bytes.length);
    position += length;
    return bytes.toString('utf8', position - length, position);
  };
  const dataVersion = dataVersionFromJson(parseJavaJson(text()));
  const topics = new Map<string, TopicConfig>();
  for (let count = number(); count > 0; count--) {
    const topic = decodeTopicConfigText(text());
    topics.set(topic.topicName, topic);
  }
  const filterServerList = asStrings(parseJavaJson(text()), 'filterServerList');
  const topicQueueMappingInfo = new Map<string, unknown>();
  // Brokers before V5_0_0 end here.
  for (let count = position < bytes.length ? number() : 0; count > 0; count--) {
    const mapping = asObject(parseJavaJson(text()), 'topicQueueMappingInfo');
    topicQueueMappingInfo.set(stringMember(mapping, 'topic'), mapping);
  }
  return { topicConfig: { dataVersion, topicConfigTable: topics }, filterServerList, topicQueueMappingInfo };
}

function truncated(position: number, length: number): RemotingError {
  return new RemotingError(
    'REMOTING_BODY_INVALID',
    `RegisterBrokerBody ends inside a field at ${position} of ${length}`,
    {
      position,
      length,
    },
  );
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([int32(bytes.length), bytes]);
}
