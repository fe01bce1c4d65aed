/** The part of lz4js that is used; the package brings no types. */
declare module 'lz4js' {
  const lz4: {
    /** Largest size that the blocks of a frame can unpack to. */
    decompressBound(source: Uint8Array): number;
    /** Unpacks a frame; `maxSize` bounds the result, which is made at once. */
    decompress(source: Uint8Array, maxSize?: number): Uint8Array;
    /** Packs into a frame. */
    compress(source: Uint8Array): Uint8Array;
  };
  export default lz4;
}
