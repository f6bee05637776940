import type { Socket } from 'node:net';

/** What the other end does: descriptors sent with a message, memory that is a file. For tests, through koffi. */
export interface Passing {
  /** Sends bytes at once, and descriptors with them. Nothing of the socket may be waiting to be written. */
  send(socket: Socket, bytes: Uint8Array, descriptors: readonly number[]): void;
  /** A new file in memory: its descriptor, and its bytes as a machine maps them. */
  memory(size: number, sharing: 'shared' | 'private'): { readonly descriptor: number; readonly bytes: Uint8Array };
  /** As a machine may do at any time. What is cut off must not be touched through `bytes` any more. */
  truncate(descriptor: number, size: number): void;
}

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP: Readonly<Record<'shared' | 'private', number>> = { shared: 1, private: 2 };

/** Undefined where koffi is not. */
export async function loadPassing(): Promise<Passing | undefined> {
  const koffi = await import('koffi').then(
    (module) => module.default,
    () => undefined,
  );
  if (!koffi || process.platform !== 'linux') return undefined;
  const library = koffi.load(null);
  const sendmsg = library.func('long sendmsg(int, void *, int)');
  const memfdCreate = library.func('int memfd_create(const char *, unsigned int)');
  const ftruncate = library.func('int ftruncate(int, long)');
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, long)');

  return {
    send(socket, bytes, descriptors) {
      const fd = (socket as { _handle?: { fd?: number } })._handle?.fd;
      if (fd === undefined) throw new Error('the socket is closed');
      const control = descriptors.length > 0 ? 16 + Math.ceil((4 * descriptors.length) / 8) * 8 : 0;
      const size = 72 + control + bytes.length;
      const memory = koffi.alloc('uint8', size);
      const view = new DataView(koffi.view(memory, size));
      const at = koffi.address(memory);
      const fields: readonly (readonly [number, bigint])[] = [
        [16, at + 56n],
        [24, 1n],
        [32, control > 0 ? at + 72n : 0n],
        [40, BigInt(control)],
        [56, at + BigInt(72 + control)],
        [64, BigInt(bytes.length)],
      ];
      new Uint8Array(view.buffer).fill(0);
      for (const [offset, value] of fields) view.setBigUint64(offset, value, true);
      if (control > 0) {
        view.setBigUint64(72, BigInt(16 + 4 * descriptors.length), true);
        view.setInt32(80, SOL_SOCKET, true);
        view.setInt32(84, SCM_RIGHTS, true);
      }
      for (const [index, descriptor] of descriptors.entries()) view.setInt32(88 + 4 * index, descriptor, true);
      new Uint8Array(view.buffer).set(bytes, 72 + control);
      const sent = sendmsg(fd, memory, MSG_NOSIGNAL);
      koffi.free(memory);
      if (sent !== bytes.length) throw new Error(`sendmsg: ${sent} of ${bytes.length}, error ${koffi.errno()}`);
    },
    truncate: (descriptor, size) => void ftruncate(descriptor, size),
    memory(size, sharing) {
      const descriptor = memfdCreate('exhume-test', MFD_CLOEXEC);
      if (descriptor < 0 || ftruncate(descriptor, size) !== 0) throw new Error(`no memory: error ${koffi.errno()}`);
      const mapped: unknown = mmap(null, size, PROT_READ_WRITE, MAP[sharing], descriptor, 0);
      return { descriptor, bytes: new Uint8Array(koffi.view(mapped, size)) };
    },
  };
}
