import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Source } from '../source.ts';

/** Between two looks at how late the event loop is. The look is libuv’s and costs no turn of JavaScript. */
const RESOLUTION_MS = 20;
const NS_PER_SECOND = 1e9;

/** Processor, memory, and how late the event loop is. Both figures of the loop count from the export before. */
export function processSource(): Source {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let before = performance.eventLoopUtilization();
  return {
    observe(into) {
      // The timer itself takes its interval; what is beyond it is delay.
      const late = (ns: number): number => Math.max(0, ns / NS_PER_SECOND - RESOLUTION_MS / 1_000);
      into.observe('vernier_event_loop_delay', late(delay.percentile(50)), { percentile: '50' });
      into.observe('vernier_event_loop_delay', late(delay.percentile(99)), { percentile: '99' });
      into.observe('vernier_event_loop_delay', late(delay.max), { percentile: '100' });
      delay.reset();
      const now = performance.eventLoopUtilization();
      into.observe('vernier_event_loop_utilization', performance.eventLoopUtilization(now, before).utilization);
      before = now;
      const { user, system } = process.cpuUsage();
      into.observe('vernier_process_cpu', user / 1e6, { mode: 'user' });
      into.observe('vernier_process_cpu', system / 1e6, { mode: 'system' });
      into.observe('vernier_process_resident_memory', process.memoryUsage.rss());
    },
    close: () => {
      delay.disable();
    },
  };
}
