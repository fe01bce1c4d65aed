import type { Source, SourceParts } from '../source.ts';
import { STORAGE } from './store.ts';

/** RocketMQ TimerMetrics.timerDist: seconds from now, up to a day. */
const SNAPSHOT_BOUNDS_S = [5, 60, 300, 900, 3_600, 14_400, 28_800, 86_400];

/** Timed messages. Without timerWheelEnable there is nothing to say of them. */
export function timerSource({ broker: { timer } }: SourceParts): Source {
  return {
    async observe(into) {
      const { progress } = timer;
      if (progress === undefined) return;
      into.observe('rocketmq_timer_enqueue_lag', progress.notTakenUp, STORAGE);
      into.observe('rocketmq_timer_dequeue_lag', progress.waiting, STORAGE);
      into.observe('rocketmq_timer_dequeue_latency', progress.overdueMs, STORAGE);
      for (const [topic, count] of timer.waitingByTopic()) {
        into.observe('rocketmq_timing_messages', count, { ...STORAGE, topic });
      }
      into.observe('rocketmq_timer_enqueue_latency', await timer.takeUpDelayMs(), STORAGE);
      const counts = (await timer.dueWithin(SNAPSHOT_BOUNDS_S)) ?? [];
      for (const [index, count] of counts.entries()) {
        const timer_bound_s = String(SNAPSHOT_BOUNDS_S[index]);
        into.observe('rocketmq_timer_message_snapshot', count, { ...STORAGE, timer_bound_s });
      }
    },
  };
}
