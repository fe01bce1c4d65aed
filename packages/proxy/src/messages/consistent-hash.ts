/**
 * Which of `count` queues a message group belongs to: Guava's Hashing.consistentHash of Java's String.hashCode, so that a
 * group stays in its queue whichever proxy sends, and mostly when queues are added.
 */
import { javaHashCode } from '@vernier/remoting';

const MULTIPLIER = 2_862_933_555_777_941_757n;
const MASK = 0xffff_ffff_ffff_ffffn;

export function queueOfGroup(messageGroup: string, count: number): number {
  // A linear congruential generator whose states are the hash as a Java long, and on from there.
  let state = BigInt.asUintN(64, BigInt(javaHashCode(messageGroup)));
  let candidate = 0;
  for (;;) {
    state = (MULTIPLIER * state + 1n) & MASK;
    const fraction = (Number(state >> 33n) + 1) / 2 ** 31;
    const next = Math.trunc((candidate + 1) / fraction);
    if (next < 0 || next >= count) return candidate;
    candidate = next;
  }
}
