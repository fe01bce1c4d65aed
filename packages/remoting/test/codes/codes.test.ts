import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LanguageCode, languageFromName, languageName } from '../../src/codes/language-code.ts';
import { CURRENT_VERSION, versionDescription } from '../../src/codes/mq-version.ts';
import { RequestCode, requestCodeName } from '../../src/codes/request-code.ts';
import { ResponseCode, responseCodeName } from '../../src/codes/response-code.ts';

describe('codes', () => {
  it('each number has one name, there and back', () => {
    for (const [table, nameOf] of [
      [RequestCode, requestCodeName],
      [ResponseCode, responseCodeName],
    ] as const) {
      const codes = Object.values(table);
      assert.equal(new Set(codes).size, codes.length);
      for (const [name, code] of Object.entries(table)) assert.equal(nameOf(code), name);
      assert.equal(nameOf(987_654), '987654');
    }
  });

  it('those that clients act on have RocketMQ’s numbers', () => {
    assert.deepEqual(
      [
        RequestCode.SEND_MESSAGE_V2,
        RequestCode.PULL_MESSAGE,
        RequestCode.GET_ROUTEINFO_BY_TOPIC,
        RequestCode.HEART_BEAT,
      ],
      [310, 11, 105, 34],
    );
    assert.deepEqual(
      [
        ResponseCode.FLUSH_DISK_TIMEOUT,
        ResponseCode.TOPIC_NOT_EXIST,
        ResponseCode.PULL_OFFSET_MOVED,
        ResponseCode.GO_AWAY,
      ],
      [10, 17, 21, 1500],
    );
  });

  it('languages by name and number; unknown ones are OTHER, a missing one JAVA', () => {
    for (const [name, code] of Object.entries(LanguageCode)) {
      assert.equal(languageName(code), name);
      assert.equal(languageFromName(name), code);
    }
    assert.equal(languageFromName('KLINGON'), LanguageCode.OTHER);
    assert.equal(languageFromName(undefined), LanguageCode.JAVA);
    assert.equal(languageName(200), 'OTHER');
  });

  it('versions print as RocketMQ prints them', () => {
    assert.equal(CURRENT_VERSION, 513);
    const names = [
      [213, 'V4_0_0'],
      [399, 'V4_9_3'],
      [400, 'V4_9_4_SNAPSHOT'],
      [401, 'V4_9_4'],
      [409, 'V4_9_8'],
      [413, 'V5_0_0'],
      [475, 'V5_3_1'],
      [513, 'V5_5_0'],
      [611, 'V5_9_9'],
      [612, 'HIGHER_VERSION'],
      [5, '5'],
    ] as const;
    for (const [version, name] of names) assert.equal(versionDescription(version), name);
  });
});
