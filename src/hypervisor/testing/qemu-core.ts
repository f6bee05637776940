/**
 * Writes small cores of QEMU processes for tests: a heap with the structures that matter, and guest memory. Offsets
 * stand here as numbers of their own, as they were measured in QEMU 7.2 and 11.1.
 */

import { concat } from '../../bytes/concat.js';
import { type WrittenSegment, writeElf, writeNote } from '../../dump/testing/elf-writer.js';

export interface WrittenBlock {
  readonly name: string;
  readonly size: number;
  /** Left out of the core, as with `dump-guest-core=off`. */
  readonly excluded?: boolean;
  /** It was mapped from this file. */
  readonly file?: string;
}

export interface WrittenCpu {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly eflags?: bigint;
  readonly condition?: readonly [op: number, dst: bigint, src: bigint, src2: bigint];
}

export interface QemuCoreSpec {
  /** 7.2: 16 general registers; 11.1: 32. */
  readonly version: '7.2' | '11.1';
  readonly blocks: readonly WrittenBlock[];
  /** What lies where in the guest: block, offset in it, guest-physical address, size; none: the view is missing. */
  readonly view?: readonly (readonly [block: number, offset: number, physical: number, size: number])[];
  readonly cpus: readonly WrittenCpu[];
  readonly arguments: readonly string[];
  /** KVM ran the CPUs; `in`: they were inside the guest; else whether QEMU's copy of each one's registers counts. */
  readonly kvm?: 'in' | readonly boolean[];
  /** The core has the program's first page and its data. */
  readonly program?: boolean;
  /** What glibc keeps of an assertion. */
  readonly abortMessage?: string;
  readonly signal?: number;
}

const HEAP = 0x5555_0000_0000;
const HEAP_SIZE = 0x80000;
const STACK = 0x7ffd_0000_0000;
const PROGRAM = 0x5550_0000_0000;
const PROGRAM_BYTES = 0x3000;
export const PROGRAM_PATH = '/usr/bin/qemu';
const BUILD_ID = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
/** Addresses in the program's file. */
const RAM_LIST_AT = 0x2000;
const CPUS_AT = 0x2100;
/** Where the link is in a block. */
const BLOCK_LINK = 0x150;
const RAM = 0x7f00_0000_0000;
const RAM_STEP = 0x1_0000_0000;
const LAYOUTS = {
  '7.2': { registers: 16, state: 0x13b0, tqe: 0x260, thread: 0xb8, kvmRun: 0x2e0, bytes: 0x8000 },
  '11.1': { registers: 32, state: 0x4070, tqe: 0x2a0, thread: 0xc8, kvmRun: 0x320, bytes: 0xa000 },
} as const;
/** Where the pages that a CPU shares with KVM are in the process. */
const SHARED = 0x7f50_0010_0000;
const SHARED_BYTES = 0x3000;
export const EFER = 0xd01n;
export const KERNEL_GS_BASE = 0xffff_8880_0010_0000n;

/** The pattern that a block's memory is filled with, by its number. */
export function blockBytes(index: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 4096) bytes.fill((index * 16 + (at >> 12)) & 0xff, at, at + 4096);
  return bytes;
}

export function writeQemuCore(spec: QemuCoreSpec): Uint8Array {
  const heap = new Uint8Array(HEAP_SIZE);
  const view = new DataView(heap.buffer);
  const u64 = (at: number, value: number | bigint) => view.setBigUint64(at - HEAP, BigInt(value), true);
  const u32 = (at: number, value: number) => view.setUint32(at - HEAP, value, true);
  const string = (at: number, value: string) => heap.set(new TextEncoder().encode(value), at - HEAP);
  let next = HEAP + 0x1000;
  const take = (size: number): number => {
    const at = next;
    next += Math.ceil(size / 16) * 16;
    return at;
  };

  const blocks: number[] = [];
  const cpuStates: number[] = [];
  const regions = spec.blocks.map(({ name, size }, i) => {
    const region = take(0x110);
    const block = take(0x200);
    u64(region + 0x38, block);
    u64(block + 0x10, region);
    u64(block + 0x18, hostOf(i));
    // offset in the space of all blocks, used_length, max_length
    u64(block + 0x28, i * RAM_STEP);
    u64(block + 0x30, size);
    u64(block + 0x38, size);
    u32(block + 0x48, 1);
    string(block + 0x4c, name);
    blocks.push(block);
    return region;
  });
  blocks.forEach((block, i) => {
    u64(block + BLOCK_LINK, blocks[i + 1] ?? 0);
    u64(block + BLOCK_LINK + 8, i === 0 ? PROGRAM + RAM_LIST_AT + 0x38 : (blocks[i - 1] as number) + BLOCK_LINK);
  });
  if (spec.view !== undefined) writeView(spec.view);
  writeCpus();
  const segments: WrittenSegment[] = [
    { type: 4, physical: 0n, data: notes() },
    { type: 1, physical: 0n, virtual: BigInt(HEAP), data: heap, rights: 6 },
    ...spec.blocks.map(({ size, excluded }, i): WrittenSegment => {
      const data = excluded === true ? new Uint8Array() : blockBytes(i, size);
      return { type: 1, physical: 0n, virtual: BigInt(hostOf(i)), data, memorySize: size, rights: 6 };
    }),
    ...(spec.program === true ? [programSegment()] : []),
    ...(spec.abortMessage === undefined ? [] : [abortSegment(spec.abortMessage)]),
    { type: 1, physical: 0n, virtual: BigInt(STACK), data: stack(), rights: 6 },
  ];
  return writeElf({ wordBits: 64, littleEndian: true, machine: 62, segments });

  function writeView(ranges: NonNullable<QemuCoreSpec['view']>): void {
    const array = take(0x40 * ranges.length);
    ranges.forEach(([block, offset, physical, size], i) => {
      const at = array + 0x40 * i;
      u64(at, regions[block] ?? 0);
      u64(at + 8, offset);
      u64(at + 0x10, physical);
      u64(at + 0x20, size);
    });
    const flat = take(0x40);
    u64(flat + 24, array);
    u32(flat + 32, ranges.length);
    u32(flat + 36, ranges.length + 3);
    const name = take(16);
    string(name, 'memory');
    const space = take(0x40);
    u64(space + 16, name);
    u64(space + 24, regions[0] ?? 0);
    u64(space + 32, flat);
  }

  function writeCpus(): void {
    const layout = LAYOUTS[spec.version];
    const states = spec.cpus.map(() => take(layout.bytes));
    cpuStates.push(...states);
    spec.cpus.forEach((cpu, i) => {
      const at = states[i] as number;
      u32(at + layout.thread, 1001 + i);
      u64(at + layout.tqe, states[i + 1] ?? 0);
      u64(at + layout.tqe + 8, i === 0 ? HEAP + 8 : (states[i - 1] as number) + layout.tqe);
      if (spec.kvm !== undefined) writeKvm(at + layout.kvmRun, i, spec.kvm !== 'in' && spec.kvm[i] === true);
      const registers = at + layout.state;
      for (let r = 0; r < 16; r++) u64(registers + 8 * r, r === 4 ? cpu.rsp : 0x1000 + 16 * i + r);
      const eip = registers + 8 * layout.registers;
      const [op, dst, src, src2] = cpu.condition ?? [0, 0n, 0n, 0n];
      u64(eip, cpu.rip);
      u64(eip + 8, cpu.eflags ?? 0x246n);
      u64(eip + 0x10, dst);
      u64(eip + 0x18, src);
      u64(eip + 0x20, src2);
      u32(eip + 0x28, op);
      u32(eip + 0x2c, 1);
      // CPL 0, PE, MP
      u32(eip + 0x30, 0x40c2b0);
      const segment = (index: number, selector: number, base: bigint, limit: number, flags: number) => {
        const to = eip + 0x38 + 24 * index;
        u32(to, selector);
        u64(to + 8, base);
        u32(to + 16, limit);
        u32(to + 20, flags);
      };
      segment(1, 0x10, 0n, 0xffff_ffff, 0x00af_9b00);
      segment(2, 0x18, 0n, 0xffff_ffff, 0x00cf_9300);
      segment(5, 0, 0xffff_8880_0000_0000n, 0, 0);
      segment(6, 0, 0n, 0, 0x8200);
      segment(7, 0x40, 0xffff_fe00_0000_3000n, 0x4087, 0x8900);
      segment(8, 0, 0xffff_fe00_0000_1000n, 0x7f, 0);
      segment(9, 0, 0xffff_fe00_0000_0000n, 0xfff, 0);
      const control = eip + 0x38 + 240;
      [0x8005_0033n, 0n, 0x42_ee70n, 0x1000n, 0x6b0n].forEach((value, c) => {
        u64(control + 8 * c, value);
      });
      u64(control + 0x28 + 0x1d8 - 8, EFER);
      const msrs = control + 0x2000;
      const values = [0x0023_0010_0000_0000n, 0n, 0xffff_ffff_8c80_0080n, 0n, 0x257fd5n, KERNEL_GS_BASE];
      values.forEach((value, m) => {
        u64(msrs + 8 * m, value);
      });
    });
  }

  function writeKvm(at: number, index: number, dirty: boolean): void {
    u64(at, SHARED + index * SHARED_BYTES);
    if (spec.version === '11.1') {
      // kvm_vcpu_stats_fd, vcpu_dirty
      u32(at + 32, 20 + index);
      u32(at + 36, dirty ? 1 : 0);
    } else {
      // cpu_index, cluster_index, tcg_cflags, halted, can_do_io, exception_index, vcpu_dirty
      [index, 0xffff_ffff, 0, 0, 1, 0xffff_ffff, dirty ? 1 : 0].forEach((value, word) => {
        u32(at + 56 + 4 * word, value);
      });
    }
  }

  /** The ELF header with PT_PHDR and PT_NOTE, and the variables that the program exports. */
  function programSegment(): WrittenSegment {
    const data = new Uint8Array(PROGRAM_BYTES);
    const words = new DataView(data.buffer);
    const note = writeNote('GNU', 3, BUILD_ID);
    data.set(note, 0x400);
    const header = (at: number, type: number, address: number, size: number) => {
      words.setUint32(at, type, true);
      words.setBigUint64(at + 16, BigInt(address), true);
      words.setBigUint64(at + 32, BigInt(size), true);
    };
    header(64, 6, 64, 112);
    header(64 + 56, 4, 0x400, note.length);
    words.setBigUint64(RAM_LIST_AT + 0x30, BigInt(blocks[1] ?? 0), true);
    words.setBigUint64(RAM_LIST_AT + 0x38, BigInt(blocks[0] ?? 0), true);
    words.setBigUint64(CPUS_AT, BigInt(cpuStates[0] ?? 0), true);
    return { type: 1, physical: 0n, virtual: BigInt(PROGRAM), data, rights: 6 };
  }

  function notes(): Uint8Array {
    const parts = [prstatus(1000, 0), psinfo(), siginfo(), writeNote('CORE', 6, auxv()), files()];
    const others = spec.cpus.map((_, i) => prstatus(1001 + i, spec.kvm === 'in' ? 0xae80 : 0));
    return concat([...parts, ...others]);
  }

  function prstatus(tid: number, ioctl: number): Uint8Array {
    const bytes = new Uint8Array(336);
    const words = new DataView(bytes.buffer);
    words.setUint16(12, spec.signal ?? 6, true);
    words.setUint32(32, tid, true);
    words.setBigUint64(216, BigInt(ioctl), true);
    words.setBigUint64(232, ioctl === 0 ? 0n : 16n, true);
    words.setBigUint64(240, 0x7f50_0001_2345n, true);
    return writeNote('CORE', 1, bytes);
  }

  function psinfo(): Uint8Array {
    const bytes = new Uint8Array(136);
    new DataView(bytes.buffer).setUint32(24, 1000, true);
    bytes.set(new TextEncoder().encode('qemu-system-x86'), 40);
    bytes.set(new TextEncoder().encode(spec.arguments.join(' ').slice(0, 79)), 56);
    return writeNote('CORE', 3, bytes);
  }

  function siginfo(): Uint8Array {
    const bytes = new Uint8Array(128);
    const words = new DataView(bytes.buffer);
    words.setInt32(0, spec.signal ?? 6, true);
    words.setInt32(8, -6, true);
    words.setUint32(16, 1000, true);
    return writeNote('CORE', 0x53494749, bytes);
  }

  function auxv(): Uint8Array {
    const headers = spec.program === true ? [3n, BigInt(PROGRAM + 64), 5n, 2n] : [];
    const words = new BigUint64Array([...headers, 31n, BigInt(STACK + 0xf00), 6n, 4096n, 0n, 0n]);
    return new Uint8Array(words.buffer);
  }

  function files(): Uint8Array {
    const mapped: [start: number, end: number, path: string][] = spec.blocks.flatMap(({ file, size }, i) =>
      file === undefined ? [] : [[hostOf(i), hostOf(i) + size, file]],
    );
    if (spec.program === true) mapped.push([PROGRAM, PROGRAM + PROGRAM_BYTES, PROGRAM_PATH]);
    mapped.push([0x7f50_0001_0000, 0x7f50_0002_0000, '/lib/libc.so.6']);
    if (spec.kvm !== undefined) {
      for (const i of spec.cpus.keys()) {
        const at = SHARED + i * SHARED_BYTES;
        mapped.push([at, at + SHARED_BYTES, `anon_inode:kvm-vcpu:${i}`]);
      }
    }
    const words = [BigInt(mapped.length), 4096n, ...mapped.flatMap(([a, b]) => [BigInt(a), BigInt(b), 0n])];
    const names = new TextEncoder().encode(mapped.map(([, , path]) => `${path}\0`).join(''));
    return writeNote('CORE', 0x46494c45, concat([new Uint8Array(new BigUint64Array(words).buffer), names]));
  }

  /** argc, argv, NULL, environment, NULL, the auxiliary vector, strings. */
  function stack(): Uint8Array {
    const bytes = new Uint8Array(0x2000);
    const words = new DataView(bytes.buffer);
    let at = 0x100;
    const push = (value: number) => {
      words.setBigUint64(at, BigInt(value), true);
      at += 8;
    };
    let text = 0x1000;
    push(spec.arguments.length);
    for (const argument of spec.arguments) {
      bytes.set(new TextEncoder().encode(argument), text);
      push(STACK + text);
      text += argument.length + 1;
    }
    push(0);
    push(STACK + text);
    bytes.set(new TextEncoder().encode('HOME=/'), text);
    push(0);
    bytes.set(auxv(), at);
    return bytes;
  }
}

function hostOf(block: number): number {
  return RAM + block * RAM_STEP;
}

function abortSegment(message: string): WrittenSegment {
  const data = new Uint8Array(4096);
  new DataView(data.buffer).setUint32(0, 4096, true);
  data.set(new TextEncoder().encode(message), 4);
  return { type: 1, physical: 0n, virtual: 0x7f60_0000_0000n, data, rights: 6 };
}

/** The program of such a core, with what it exports. */
export function writeProgram(buildId: Uint8Array = BUILD_ID): Uint8Array {
  const symbols: readonly [string, number][] = [
    ['other', 0x1000],
    ['ram_list', RAM_LIST_AT],
    ['cpus_queue', CPUS_AT],
  ];
  const strings = new TextEncoder().encode(`\0${symbols.map(([name]) => `${name}\0`).join('')}`);
  const table = new Uint8Array(24 * (symbols.length + 1));
  let name = 1;
  symbols.forEach(([text, value], i) => {
    const view = new DataView(table.buffer, 24 * (i + 1), 24);
    view.setUint32(0, name, true);
    view.setBigUint64(8, BigInt(value), true);
    name += text.length + 1;
  });
  const names = new TextEncoder().encode('\0.dynsym\0.dynstr\0.note\0.shstrtab\0');
  const sections: readonly [name: number, type: number, data: Uint8Array, link: number][] = [
    [0, 0, new Uint8Array(), 0],
    [1, 11, table, 2],
    [9, 3, strings, 0],
    [17, 7, writeNote('GNU', 3, buildId), 0],
    [23, 3, names, 0],
  ];
  const headersAt = 64;
  const bytes = new Uint8Array(
    headersAt + 64 * sections.length + sections.reduce((sum, [, , data]) => sum + data.length, 0),
  );
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(headersAt), true);
  view.setUint16(52, 64, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sections.length, true);
  view.setUint16(62, sections.length - 1, true);
  let at = headersAt + 64 * sections.length;
  sections.forEach(([text, type, data, link], i) => {
    const header = headersAt + 64 * i;
    view.setUint32(header, text, true);
    view.setUint32(header + 4, type, true);
    view.setBigUint64(header + 24, BigInt(at), true);
    view.setBigUint64(header + 32, BigInt(data.length), true);
    view.setUint32(header + 40, link, true);
    bytes.set(data, at);
    at += data.length;
  });
  return bytes;
}
