import type { TraceLine } from '../log/oops-header.js';

/** One function of a stack, wherever the stack was read from. The innermost comes first. */
export interface Frame {
  /** As the kernel's symbol table has it, without offset: `do_exit.cold`. */
  readonly name: string;
  /** The module that it is in; undefined for the kernel image. */
  readonly module: string | undefined;
  /** False for an address on the stack that may be left over: the kernel prints `?` before it. */
  readonly reliable: boolean;
  /** `IRQ`, `NMI`, `#DF`, … when the frame is not on the task's own stack. */
  readonly stack: string | undefined;
}

/** The stack of an event as its log tells it: where it happened, then the call trace. */
export function framesOfTrace(
  trace: readonly TraceLine[],
  where: string | undefined,
  module: string | undefined,
): Frame[] {
  const frames = trace.map(({ symbol, module: own, reliable, stack }) => ({
    name: functionName(symbol),
    module: own,
    reliable,
    stack,
  }));
  const name = where === undefined ? undefined : /^([^\s+]+)\+0x/.exec(where)?.[1];
  if (name === undefined) return frames;
  return [{ name, module, reliable: true, stack: frames[0]?.stack }, ...frames];
}

/** `vfs_write` out of `vfs_write+0xe6/0x560`. */
function functionName(symbol: string): string {
  return symbol.replace(/\+0x[0-9a-f]+(?:\/0x[0-9a-f]+)?$/, '');
}

/**
 * A function's name as it is in the source, whatever the compiler made of it: `.isra.0`, `.part.0`, `.constprop.0`, `.cold`,
 * `.llvm.123` and `.lto_priv.0` go, so do the symbols that stand for the padding before a function (`__pfx_`, `__cfi_`),
 * and each form of a system call's entry becomes `sys_…`.
 */
export function sourceName(name: string): string {
  const plain = name
    .replace(/(?<=.)\.(?:isra|part|constprop|cold|llvm|lto_priv|localalias|ipa).*$/, '')
    .replace(/^__(?:pfx|cfi)_/, '');
  return plain.replace(/^__(?:x64|ia32|arm64|riscv|s390x?|se|do)_(?:compat_)?sys_(?=.)/, 'sys_');
}
