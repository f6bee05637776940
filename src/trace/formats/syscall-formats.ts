import { Struct } from '../../kernel/types/struct.js';
import type { TraceField } from '../model.js';
import type { KernelImage } from './kernel-image.js';
import type { SharedStrings } from './shared-strings.js';
import { USER_ARGUMENTS } from './syscall-user-arguments.js';

/** No system call takes more. */
const MOST_ARGUMENTS = 6;
const MOST_SYSCALLS = 1 << 14;

/** What records of a system call's two events hold, as the kernel works it out when it boots (kernel/trace/trace_syscalls.c). */
export class SyscallFormats {
  /** Addresses of the `struct syscall_metadata` that a number of the table of system calls leads to. */
  private readonly mapped: ReadonlySet<bigint>;
  /** Are strings and buffers of the program in the record? In 7.2, not yet in 6.18. */
  private readonly userData: boolean;

  constructor(
    private readonly image: KernelImage,
    private readonly strings: SharedStrings,
  ) {
    this.userData = image.types.struct('syscall_metadata')?.field('user_mask') !== undefined;
    this.mapped = mappedSyscalls(image, strings);
  }

  /** Does the kernel register this event? Those of system calls that it does not have are left out. */
  has(call: Struct): boolean {
    return this.mapped.has(call.pointer('data'));
  }

  /** Fields behind the system call's number, and the print format. */
  format(call: Struct): { readonly fields: readonly TraceField[]; readonly printFormat: string } {
    const metadata = new Struct(
      this.image.memory,
      this.image.types.requireStruct('syscall_metadata'),
      call.pointer('data'),
    );
    if (metadata.pointer('enter_event') !== call.address) return { fields: [], printFormat: '"0x%lx", REC->ret' };
    const count = Math.min(metadata.int('nb_args'), MOST_ARGUMENTS);
    const word = (member: string, index: number): string =>
      this.strings.at(this.image.memory.pointer(metadata.pointer(member) + BigInt(index * 8)));
    const syscall = this.strings.at(metadata.pointer('name')).replace(/^sys_/, '');
    const user = this.userData ? USER_ARGUMENTS.get(syscall) : undefined;
    const names = Array.from({ length: count }, (_, index) => word('args', index));
    const first = this.image.types.requireStruct('syscall_trace_enter').require('args').offset;
    const fields: TraceField[] = names.map((name, index) => ({
      name,
      type: word('types', index),
      offset: first + index * 8,
      size: 8,
      signed: false,
    }));
    const shown = user?.arguments.filter((index) => index < count) ?? [];
    for (const [place, index] of shown.entries()) {
      const name = `__${names[index]}_val`;
      fields.push({ name, type: '__data_loc char[]', offset: first + count * 8 + place * 4, size: 4, signed: false });
    }
    const special = syscall === 'openat' && this.userData;
    return { fields, printFormat: special ? OPENAT : enterFormat(names, shown, user?.bytes ?? false) };
  }
}

/** __set_enter_print_fmt(); `bytes`: what is shown of the program's memory is a buffer and no string. */
function enterFormat(names: readonly string[], shown: readonly number[], bytes: boolean): string {
  const texts = names.map((name, index) => {
    const text = `${name}: 0x%08lx`;
    return shown.includes(index) ? `${text}${bytes ? ' (%s)' : ' \\"%s\\"'}` : text;
  });
  const values = names.flatMap((name, index) => {
    const value = `((unsigned long)(REC->${name}))`;
    if (!shown.includes(index)) return [value];
    return [value, bytes ? `__print_dynamic_array(__${name}_val, 1)` : `__get_str(__${name}_val)`];
  });
  return [`"${texts.join(', ')}"`, ...values].join(', ');
}

/** sys_enter_openat_print_fmt(), with the flags' values on x86. */
const OPENAT = (() => {
  const flags = [
    [0x1, 'WRONLY'],
    [0x2, 'RDWR'],
    [0x40, 'CREAT'],
    [0x80, 'EXCL'],
    [0x100, 'NOCTTY'],
    [0x200, 'TRUNC'],
    [0x400, 'APPEND'],
    [0x800, 'NONBLOCK'],
    [0x1000, 'DSYNC'],
    [0x4000, 'DIRECT'],
    [0x8000, 'LARGEFILE'],
    [0x10000, 'DIRECTORY'],
    [0x20000, 'NOFOLLOW'],
    [0x40000, 'NOATIME'],
    [0x80000, 'CLOEXEC'],
  ] as const;
  const table = flags.map(([bit, name]) => `{ 0x${bit.toString(16)}, "O_${name}" }`).join(', ');
  return (
    '"dfd: 0x%08lx, filename: 0x%08lx \\"%s\\", flags: %s%s, mode: 0%03o", ((unsigned long)(REC->dfd)),' +
    ' ((unsigned long)(REC->filename)), __get_str(__filename_val),' +
    ' (REC->flags & ~3) && !(REC->flags & 3) ? "O_RDONLY|" : "", ' +
    ` REC->flags ? __print_flags(REC->flags, "|", ${table}) : "O_RDONLY",  ((unsigned long)(REC->mode))`
  );
})();

/**
 * init_ftrace_syscalls(): each entry of `sys_call_table` by the name of its function, which is the system call's own with
 * something before it (arch_syscall_match_sym_name(), arch/x86/include/asm/ftrace.h).
 */
function mappedSyscalls({ memory, symbols, types }: KernelImage, strings: SharedStrings): Set<bigint> {
  const mapped = new Set<bigint>();
  const start = symbols.address('__start_syscalls_metadata');
  const stop = symbols.address('__stop_syscalls_metadata');
  const table = symbols.address('sys_call_table');
  const type = types.struct('syscall_metadata');
  if (start === undefined || stop === undefined || table === undefined || type === undefined) return mapped;
  const byName = new Map<string, bigint>();
  for (let at: bigint = start, left = MOST_SYSCALLS; at + 8n <= stop && left > 0; at += 8n, left--) {
    const metadata = memory.pointer(at);
    const name = strings.at(memory.pointer(metadata + BigInt(type.require('name').offset))).slice(3);
    if (!byName.has(name)) byName.set(name, metadata);
  }
  const count = Math.min(Math.floor((symbols.at(table)?.size ?? 0) / 8), MOST_SYSCALLS);
  for (let number = 0; number < count; number++) {
    const name = symbols.at(memory.pointer(table + BigInt(number * 8)))?.symbol.name ?? '';
    const short = name.replace(/^(?:__x64_|__ia32_|__do_)/, '').slice(3);
    const metadata = short === '_ni_syscall' ? undefined : byName.get(short);
    if (metadata !== undefined) mapped.add(metadata);
  }
  return mapped;
}
