/** What is used of koffi. Its own types are not: it may not be installed where this is compiled. */
declare module 'koffi' {
  interface NativeFunction {
    (...values: readonly unknown[]): number;
    /** Calls it in a thread of libuv's pool. The last value is called back: (error, result). */
    async(...values: readonly unknown[]): void;
  }
  const koffi: {
    /** The process itself: its C library. */
    load(path: null): { func(prototype: string): NativeFunction };
    alloc(type: 'uint8', count: number): unknown;
    address(pointer: unknown): bigint;
    view(pointer: unknown, bytes: number): ArrayBuffer;
    errno(): number;
    free(pointer: unknown): void;
  };
  export default koffi;
}
