import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Collector } from '../collector.ts';
import { SCOPE } from '../list.ts';
import type { Labels, Point } from '../observation.ts';
import { Slices } from '../source.ts';
import { hrTime, metricData } from './otel-data.ts';

/** Points that are made into text at a stretch: some three milliseconds. */
const POINTS_AT_ONCE = 500;

export interface PrometheusOptions {
  readonly collector: Collector;
  readonly common: Labels;
  /** Unix milliseconds. */
  readonly startedAt: number;
  now(): number;
}

/**
 * What Prometheus reads, made anew when it asks; who asks meanwhile gets the same. The text is made in pieces, and clients
 * are served between them.
 */
export function prometheusExposition({ collector, common, startedAt, now }: PrometheusOptions): () => Promise<string> {
  const serializer = new PrometheusSerializer('', false, undefined, true, false);
  let running: Promise<string> | undefined;
  const make = async (): Promise<string> => {
    const observation = await collector.collect();
    const times = { startTime: hrTime(startedAt), endTime: hrTime(now()) };
    const slices = new Slices();
    let text = '';
    for (const { name, points } of observation.metrics()) {
      for (let from = 0; from < points.length; from += POINTS_AT_ONCE) {
        const piece: readonly Point[] = points.slice(from, from + POINTS_AT_ONCE);
        const data = metricData(name, piece, { common, isForPrometheus: true, ...times });
        const scope = { name: SCOPE };
        const metrics = {
          resource: NO_RESOURCE,
          scopeMetrics: [{ scope, metrics: [data] }],
        } as unknown as ResourceMetrics;
        const lines = serializer.serialize(metrics);
        text += from === 0 ? lines : withoutHead(lines);
        await slices.pause();
      }
    }
    collector.noteText(slices.usedMs);
    return text;
  };
  return () => {
    running ??= make().finally(() => {
      running = undefined;
    });
    return running;
  };
}

const NO_RESOURCE = { attributes: {} };

/** HELP and TYPE stand once, in front of the first piece. */
const withoutHead = (lines: string): string => lines.replace(/^(#[^\n]*\n)+/, '');
