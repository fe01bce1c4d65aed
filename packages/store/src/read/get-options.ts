import { argumentError, checkFunction, checkNumber, checkOptions, looking } from '../base/arguments.ts';
import type { GetMessageOptions } from './message-reader.ts';

/** Of a call without options. */
export const NO_OPTIONS: GetMessageOptions = {};

/** What a caller asks for, each looked at once. Throws STORE_ARGUMENT_INVALID. */
export function ownGetOptions(options: GetMessageOptions): GetMessageOptions {
  if (options === NO_OPTIONS) return options;
  checkOptions('getMessage', options, ['maxBytes', 'filter', 'allocate', 'room']);
  const own = looking('getMessage', 'the options', () => ({ ...options }));
  const { maxBytes, filter, allocate, room } = own;
  if (maxBytes !== undefined) checkNumber('getMessage', 'maxBytes', maxBytes);
  checkFunction('getMessage', 'allocate', allocate);
  looking('getMessage', 'filter', () => {
    if (filter !== undefined && typeof filter?.isMatchedByConsumeQueue !== 'function') {
      throw argumentError('getMessage', 'filter', 'must have the function isMatchedByConsumeQueue', filter);
    }
    checkFunction('getMessage', 'filter.isMatchedByCommitLog', filter?.isMatchedByCommitLog);
  });
  looking('getMessage', 'room', () => {
    if (room !== undefined && typeof room?.reserve !== 'function') {
      throw argumentError('getMessage', 'room', 'must have the function reserve', room);
    }
  });
  return own;
}
