import { closeSync } from 'node:fs';
import { i32, size64, structTable, u16, u32 } from '../../bytes/struct-table.js';

/**
 * The few calls of the C library that Node does not make, through koffi: receiving descriptors with a message,
 * waiting for several descriptors at once, and datagrams to Unix sockets. Layouts are those of 64-bit little-endian Linux
 * (linux/socket.h, linux/un.h, linux/eventpoll.h, poll.h).
 */

const MSGHDR = structTable('msghdr', 56, {
  name: size64(0),
  nameLength: u32(8),
  parts: size64(16),
  partCount: size64(24),
  control: size64(32),
  controlLength: size64(40),
  flags: i32(48),
});
const IOVEC = structTable('iovec', 16, { base: size64(0), length: size64(8) });
const CMSGHDR = structTable('cmsghdr', 16, { length: size64(0), level: i32(8), type: i32(12) });
/** On x86-64 alone it is packed. */
const EPOLL_EVENT =
  process.arch === 'x64'
    ? structTable('epoll_event', 12, { events: u32(0), token: u32(4) })
    : structTable('epoll_event', 16, { events: u32(0), token: u32(8) });
const POLLFD = structTable('pollfd', 8, { descriptor: i32(0), events: u16(4), returned: u16(6) });

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
/** `sockaddr_un`: the family, then the path. */
const UNIX_ADDRESS = { path: 2, size: 110 };
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CTRUNC = 8;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EPOLL_CLOEXEC = 0x80000;
const EFD_CLOEXEC_NONBLOCK = 0x80800;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLET = 2 ** 31;
const POLLIN = 1;
const POLLOUT = 4;
const F_DUPFD_CLOEXEC = 1030;
const EINTR = 4;
const EAGAIN = 11;

/** The most descriptors that Linux passes with one message (SCM_MAX_FD). */
const MOST_PASSED = 253;
const CONTROL_BYTES = CMSGHDR.size + 4 * MOST_PASSED + 4;
/** The most bytes that are taken out of a socket at once. */
const MOST_RECEIVED = 1 << 16;
const MOST_EVENTS = 64;

/** What came out of a socket. Whoever gets it closes the descriptors. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly descriptors: readonly number[];
  /** More descriptors came than this process can have open. */
  readonly lost: boolean;
}

export interface Libc {
  /** What is waiting in a socket, up to `most` bytes: undefined when nothing is; no bytes at its end. Throws an Error. */
  receive(socket: number, most: number): Received | undefined;
  newEpoll(): number;
  /** A counter that wakes those who wait for it. */
  newEvent(): number;
  /** Events of a descriptor come with `token`. `edge`: for each one that happens, not while there is something to read. */
  watch(epoll: number, descriptor: number, token: number, edge: boolean): void;
  unwatch(epoll: number, descriptor: number): void;
  /** The tokens of what happened; waits in a thread until something does. */
  wait(epoll: number): Promise<readonly number[]>;
  /** Another descriptor of the same file, closed by whoever gets it. */
  duplicate(descriptor: number): number;
  /** Whether a read, or a write, would not have to wait. */
  readable(descriptor: number): boolean;
  writable(descriptor: number): boolean;
  /** Sends a datagram to a Unix socket (`@` begins an abstract name), without waiting. Throws an Error. */
  sendTo(path: string, bytes: Uint8Array): void;
}

/** Where it cannot be had (other systems, koffi not installed): undefined. */
export async function loadLibc(): Promise<Libc | undefined> {
  if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch)) return undefined;
  try {
    return bind((await import('koffi')).default);
  } catch {
    return undefined;
  }
}

function bind(koffi: typeof import('koffi')['default']): Libc {
  const library = koffi.load(null);
  const recvmsg = library.func('long recvmsg(int, void *, int)');
  const epollCreate = library.func('int epoll_create1(int)');
  const epollControl = library.func('int epoll_ctl(int, int, int, void *)');
  const epollWait = library.func('int epoll_wait(int, void *, int, int)');
  const eventfd = library.func('int eventfd(unsigned int, int)');
  const fcntl = library.func('int fcntl(int, int, int)');
  const socket = library.func('int socket(int, int, int)');
  const sendto = library.func('long sendto(int, void *, unsigned long, int, void *, unsigned int)');
  const poll = library.func('int poll(void *, unsigned long, int)');

  // One place in memory of C's, for good, that holds the structures, which point into it: message, part, control, data.
  const bytes = MSGHDR.size + IOVEC.size + CONTROL_BYTES + MOST_RECEIVED;
  const memory = koffi.alloc('uint8', bytes);
  const at = Number(koffi.address(memory));
  const view = new DataView(koffi.view(memory, bytes));
  const part = MSGHDR.size;
  const control = part + IOVEC.size;
  const data = control + CONTROL_BYTES;

  const checked = (result: number, call: string): number => {
    if (result < 0) throw new Error(`${call}: error ${koffi.errno()}`);
    return result;
  };

  const ready = (descriptor: number, events: number): boolean => {
    const one = new Uint8Array(POLLFD.size);
    POLLFD.write(new DataView(one.buffer), 0, { descriptor, events, returned: 0 });
    return poll(one, 1, 0) === 1 && (POLLFD.read(new DataView(one.buffer)).returned & events) !== 0;
  };

  const descriptorsIn = (length: number): number[] => {
    const found: number[] = [];
    for (let cmsg = 0; cmsg + CMSGHDR.size <= length; ) {
      const header = CMSGHDR.read(view, control + cmsg);
      if (header.length < CMSGHDR.size || cmsg + header.length > length) break;
      if (header.level === SOL_SOCKET && header.type === SCM_RIGHTS) {
        for (let offset = CMSGHDR.size; offset + 4 <= header.length; offset += 4) {
          found.push(view.getInt32(control + cmsg + offset, true));
        }
      }
      cmsg += Math.ceil(header.length / 8) * 8;
    }
    return found;
  };

  return {
    receive(socket, most) {
      const length = Math.min(most, MOST_RECEIVED);
      IOVEC.write(view, part, { base: at + data, length });
      MSGHDR.write(view, 0, {
        name: 0,
        nameLength: 0,
        parts: at + part,
        partCount: 1,
        control: at + control,
        controlLength: CONTROL_BYTES,
        flags: 0,
      });
      const got = recvmsg(socket, memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (got < 0) {
        const errno = koffi.errno();
        if (errno === EAGAIN || errno === EINTR) return undefined;
        throw new Error(`recvmsg: error ${errno}`);
      }
      const { controlLength, flags } = MSGHDR.read(view, 0);
      return {
        bytes: new Uint8Array(view.buffer, data, got).slice(),
        descriptors: descriptorsIn(controlLength),
        lost: (flags & MSG_CTRUNC) !== 0,
      };
    },
    newEpoll: () => checked(epollCreate(EPOLL_CLOEXEC), 'epoll_create1'),
    newEvent: () => checked(eventfd(0, EFD_CLOEXEC_NONBLOCK), 'eventfd'),
    watch(epoll, descriptor, token, edge) {
      const event = new Uint8Array(EPOLL_EVENT.size);
      EPOLL_EVENT.write(new DataView(event.buffer), 0, { events: edge ? EPOLLIN + EPOLLET : EPOLLIN, token });
      checked(epollControl(epoll, EPOLL_CTL_ADD, descriptor, event), 'epoll_ctl');
    },
    unwatch(epoll, descriptor) {
      epollControl(epoll, EPOLL_CTL_DEL, descriptor, new Uint8Array(EPOLL_EVENT.size));
    },
    wait(epoll) {
      const events = new Uint8Array(MOST_EVENTS * EPOLL_EVENT.size);
      return new Promise((resolve, reject) => {
        epollWait.async(epoll, events, MOST_EVENTS, -1, (error: Error | null, count: number) => {
          if (error) reject(error);
          const happened = Math.max(0, count);
          const table = new DataView(events.buffer);
          resolve(Array.from({ length: happened }, (_, i) => EPOLL_EVENT.read(table, i * EPOLL_EVENT.size).token));
        });
      });
    },
    sendTo(path, datagram) {
      const address = unixAddress(path);
      const descriptor = checked(socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), 'socket');
      try {
        const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        checked(sendto(descriptor, datagram, datagram.length, flags, address, address.length), 'sendto');
      } finally {
        closeSync(descriptor);
      }
    },
    duplicate: (descriptor) => checked(fcntl(descriptor, F_DUPFD_CLOEXEC, 0), 'fcntl'),
    readable: (descriptor) => ready(descriptor, POLLIN),
    writable: (descriptor) => ready(descriptor, POLLOUT),
  };
}

/** Throws an Error for a path that is too long. */
export function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path.replace(/^@/, '\0'));
  const address = new Uint8Array(UNIX_ADDRESS.path + name.length);
  if (address.length >= UNIX_ADDRESS.size) throw new Error(`the path of a socket has at most 107 bytes: ${path}`);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, UNIX_ADDRESS.path);
  return address;
}
