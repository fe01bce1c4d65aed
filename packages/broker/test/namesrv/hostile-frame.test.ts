import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createRequest, RemotingClient, RequestCode } from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { Namesrv } from '../../src/index.ts';

for (const member of ['remark', 'language']) {
  test(`namesrv: a frame whose ${member} is an object without a text ends its connection and nothing else`, async (t) => {
    const namesrv = new Namesrv({ port: 0 });
    await namesrv.start();
    const client = new RemotingClient();
    cleanUp(t, async () => {
      await client.close();
      await namesrv.shutdown(0);
    });
    const header = Buffer.from(`{"code":21,"opaque":5,"${member}":{"toString":1,"valueOf":1}}`);
    const lengths = Buffer.alloc(8);
    lengths.writeInt32BE(4 + header.length, 0);
    lengths.writeInt32BE(header.length, 4);
    const port = Number(namesrv.address.split(':').at(-1));
    const stranger = connect(port, '127.0.0.1').on('error', () => {});
    await once(stranger, 'connect');
    stranger.write(Buffer.concat([lengths, header]));
    stranger.resume();
    await once(stranger, 'close');
    const answer = await client.invoke(`127.0.0.1:${port}`, createRequest(RequestCode.GET_NAMESRV_CONFIG), 3_000);
    assert.equal(answer.code, 0);
  });
}
