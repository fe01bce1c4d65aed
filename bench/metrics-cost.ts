// `node --import tsx --conditions=@vernier/source bench/metrics-cost.ts [ROUNDS] [SECONDS]`: processor time a message without
// metrics, and with PROM and somebody who asks each second. Starts take turns; what is compared is the median of the rounds.
import { setTimeout as sleep } from 'node:timers/promises';
import { startVernier } from '../interop/peers/vernier.ts';
import type { BenchBroker } from './brokers.ts';
import { median } from './results.ts';
import { runLoad } from './run-load.ts';

const [rounds = 5, seconds = 6] = process.argv.slice(2).map(Number);
const kinds = ['off', 'on'] as const;

async function measure(kind: (typeof kinds)[number]): Promise<number> {
  const extraConfig: Record<string, string | number> =
    kind === 'on' ? { metricsExporterType: 'PROM', metricsPromExporterPort: 0 } : {};
  const vernier = await startVernier({ flushDiskType: 'SYNC_FLUSH', extraConfig });
  const [host, port] = vernier.brokerAddr.split(':') as [string, string];
  const broker: BenchBroker = {
    ...{ label: kind, brokerName: 'broker-a', address: { host, port: Number(port) }, pid: vernier.pid },
    ...{ namesrvAddr: vernier.namesrvAddr, storeDir: vernier.storeDir },
    stop: () => vernier.stop(),
    kill: () => vernier.killBroker(),
  };
  let isOver = false;
  const asking = (async (): Promise<void> => {
    while (!isOver && kind === 'on') {
      await fetch(`http://${vernier.metricsAddr}/metrics`).then((response) => response.text());
      await sleep(1_000);
    }
  })();
  try {
    const result = await runLoad(broker, {
      ...{ kind: 'send', topic: 'Bench', queueCount: 8, connections: 16, inFlight: 16, bodySize: 1_024 },
      ...{ warmupMs: 3_000, durationMs: seconds * 1_000 },
    });
    return result.brokerCpuUsPerMessage;
  } finally {
    isOver = true;
    await asking;
    await vernier.stop();
  }
}

const figures: Record<(typeof kinds)[number], number[]> = { off: [], on: [] };
for (let round = 0; round < rounds; round++) {
  for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
    figures[kind].push(await measure(kind));
    process.stdout.write(`${kind}: ${figures[kind].at(-1)!.toFixed(3)} µs a message\n`);
  }
}
const [off, on] = [median(figures.off), median(figures.on)];
process.stdout.write(
  `median: ${off.toFixed(3)} µs off, ${on.toFixed(3)} µs on: ${(((on - off) / off) * 100).toFixed(1)} %\n`,
);
