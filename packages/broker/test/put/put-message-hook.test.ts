import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { PropertyBit } from '@vernier/store/internal';
import { refuseTimers, timerNames } from '../../src/put/put-message-hook.ts';
import { property } from '../harness.ts';

function ask(topic: string, propertiesString: string) {
  const message = { topic, propertiesString } as MessageExtBrokerInner;
  return { message, refusal: refuseTimers.executeBeforePutMessage(message, PropertyBit.TIMER) };
}

test('timers: a message that asks for a time is refused and not delivered early', () => {
  for (const name of timerNames) {
    const properties = property('A', 'b') + property(name, '5');
    const { message, refusal } = ask('T', properties);
    assert.equal(refusal?.code, ResponseCode.MESSAGE_ILLEGAL, name);
    assert.match(refusal?.remark ?? '', /does not support timed messages/);
    assert.equal(message.propertiesString, properties);
    assert.notEqual(ask('%DLQ%g', properties).refusal, undefined, 'a dead letter topic is no retry topic');
  }
});

test('timers: a retry loses the time of its first delivery and nothing else, and is taken', () => {
  const all = timerNames.map((name) => property(name, '5')).join('');
  const { message, refusal } = ask('%RETRY%g', property('A', 'b') + all + property('TIMER_DELAY_SECS', '5'));
  assert.equal(refusal, undefined);
  assert.equal(message.propertiesString, property('A', 'b') + property('TIMER_DELAY_SECS', '5'));
});

test('timers: what only resembles a timer, or was taken away before, is left alone', () => {
  for (const properties of ['', property('XTIMER_DELAY_MS', '5'), property('A', 'TIMER_DELAY_MS')]) {
    const { message, refusal } = ask('T', properties);
    assert.equal(refusal, undefined);
    assert.equal(message.propertiesString, properties);
  }
});
