import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { connectionsWithin, descriptorLimit, softLimit } from '../../src/net/descriptors.ts';
import { RemotingServer } from '../../src/net/server.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

describe('descriptors', () => {
  it('the limit is read as Linux writes it', () => {
    const text = (soft: string): string =>
      `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             63432                63432                processes \nMax open files            ${soft}                 1048576              files     \n`;
    assert.equal(softLimit(text('1024')), 1024);
    assert.equal(softLimit(text('unlimited')), Number.POSITIVE_INFINITY);
    assert.equal(softLimit(''), Number.POSITIVE_INFINITY);
    assert.ok(descriptorLimit() >= 100);
  });

  it('a part of it is left to files, however small or large the limit is', () => {
    assert.equal(connectionsWithin(256), 160);
    assert.equal(connectionsWithin(1024), 768);
    assert.equal(connectionsWithin(65_536), 61_440);
    assert.equal(connectionsWithin(50), 1);
    assert.equal(connectionsWithin(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  });

  it('servers of one process share it: what is too much is closed with one line, and taken again when others have gone', async (t) => {
    const logger = new RecordingLogger();
    // 4 connections.
    const options = { logger, descriptorLimit: 100 };
    const servers = [new RemotingServer(options), new RemotingServer(options)];
    const ports = await Promise.all(servers.map(async (server) => (await server.listen({ port: 0 })).port));
    cleanUp(t, () => Promise.all(servers.map((server) => server.shutdown(0))));
    const open = new Set<ReturnType<typeof connect>>();
    cleanUp(t, () => {
      for (const socket of open) socket.destroy();
    });
    const accepted = (): number => servers.reduce((sum, server) => sum + server.connections.size, 0);
    const dial = async (port: number): Promise<boolean> => {
      const before = accepted();
      const socket = connect({ host: '127.0.0.1', port });
      open.add(socket);
      const closed = once(socket, 'close').then(() => false);
      await once(socket, 'connect');
      const taken = (async () => {
        while (accepted() === before) await new Promise((resolve) => setImmediate(resolve));
        return true;
      })();
      return Promise.race([closed, taken]);
    };
    const dials: boolean[] = [];
    for (let count = 0; count < 8; count++) dials.push(await dial(ports[count % 2] as number));
    assert.deepEqual(dials, [true, true, true, true, false, false, false, false]);
    assert.equal(logger.at('warn').length, 2, 'a line of each server');
    assert.match(
      logger.at('warn')[0]?.message ?? '',
      /no more are taken \(at most 4, within the limit of open files\)/,
    );
    for (const socket of open) socket.destroy();
    while (accepted() > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await dial(ports[0] as number), true);
  });
});
