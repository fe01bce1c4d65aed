import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, pullFields, send, startBroker } from '../harness.ts';

test('UPDATE_AND_GET_GROUP_FORBIDDEN forbids a group to read one topic, says so, and holds over a restart', async (t) => {
  const first = await startBroker(t);
  const ask = async (invoke: typeof first.invoke, fields: Record<string, string | undefined>) => {
    const answer = await invoke(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, {
      group: 'consumers',
      topic: 'T',
      ...fields,
    });
    return answer.code === ResponseCode.SUCCESS ? JSON.parse(String(answer.body)) : answer.code;
  };
  const may = (readable: boolean, topic = 'T') => ({ group: 'consumers', readable, topic });
  for (const topic of ['T', 'U']) await send(first, topic, 'x');
  assert.deepEqual(await ask(first.invoke, {}), may(true), 'to ask forbids nothing');
  assert.deepEqual(await ask(first.invoke, { readable: 'false' }), may(false));
  assert.deepEqual(await ask(first.invoke, {}), may(false));
  assert.deepEqual(await ask(first.invoke, { topic: 'U' }), may(true, 'U'));
  await first.broker.shutdown();

  const { invoke, broker } = await startBroker(t, { directory: first.directory });
  const pull = async (topic: string) => {
    const beat = heartbeat('c', { group: 'consumers', topic });
    await invoke(RequestCode.HEART_BEAT, undefined, beat);
    return (await invoke(RequestCode.PULL_MESSAGE, pullFields(topic, 0, { sysFlag: '0' }))).code;
  };
  assert.equal(await pull('T'), ResponseCode.NO_PERMISSION);
  assert.equal(await pull('U'), ResponseCode.SUCCESS);

  for (const hostile of [
    { group: 'bad name', readable: 'false' },
    { topic: '../T', readable: 'false' },
    { topic: '', readable: 'false' },
    { group: 'g'.repeat(121), readable: 'false' },
    { topic: 'U', readable: 'no' },
  ]) {
    assert.equal(await ask(invoke, hostile), ResponseCode.INVALID_PARAMETER, JSON.stringify(hostile));
  }
  const nothing = await invoke(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { group: 'consumers' });
  assert.equal(nothing.code, ResponseCode.INVALID_PARAMETER);
  assert.equal(await pull('U'), ResponseCode.SUCCESS, 'a refusal forbids nothing');

  await invoke(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'consumers' });
  assert.equal(broker.context.groups.isReadForbidden('consumers', 'T'), false, 'it goes with the group');
  assert.equal(await pull('T'), ResponseCode.SUCCESS);
});
