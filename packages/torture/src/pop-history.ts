import { type BrokerConfig, defaultBrokerConfig } from '@vernier/broker/internal';
import { PopModel } from './pop-model.ts';
import { Random } from './random.ts';
import type { SenderOptions } from './sent.ts';

/** As those of TortureRun. */
const POP_SEED_MASK = 0x3c6e_f372;
/** Share of the histories with POP in which somebody sets the clock, and in which operators do something. */
const CLOCK_STEPS_RATE = 0.2;
const OPERATED_RATE = 0.5;

/** What is drawn for a history with POP. */
export interface PopHistory {
  readonly model: PopModel;
  readonly random: Random;
  readonly config: Partial<BrokerConfig>;
  readonly isOperated: boolean;
  readonly stepsClock: boolean;
}

/** What follows from the seed: settings of the broker, and who does more than pop. */
export function popHistory(options: SenderOptions, seed: number): PopHistory {
  const random = new Random(seed ^ POP_SEED_MASK);
  return {
    ...{ model: new PopModel(options), random },
    config: {
      reviveQueueNum: random.integer(1, 3),
      enableRetryTopicV2: random.chance(0.5),
      popFromRetryProbability: random.pick([0, 20, 50, 100]),
      popInFlightBytesMax: random.chance(0.1) ? 1 : defaultBrokerConfig.popInFlightBytesMax,
    },
    isOperated: random.chance(OPERATED_RATE),
    stepsClock: random.chance(CLOCK_STEPS_RATE),
  };
}
