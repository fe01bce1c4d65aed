/** Largest frame with its length prefix (RocketMQ com.rocketmq.remoting.frameMaxLength). */
export const FRAME_BYTES_MAX = 16_777_216;
