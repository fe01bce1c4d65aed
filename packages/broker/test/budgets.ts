import { silentLogger } from '@vernier/store';
import { Budget } from '../src/base/budget.ts';

/** For tests about something else: there is always room. */
export const roomy = (): Budget => new Budget('testBytesMax', () => Number.POSITIVE_INFINITY, silentLogger);

/** So many bytes and no more. */
export const tight = (bytes: number | (() => number)): Budget =>
  new Budget('testBytesMax', typeof bytes === 'number' ? () => bytes : bytes, silentLogger);
