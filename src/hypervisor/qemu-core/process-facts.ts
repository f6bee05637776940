import { find } from '../../bytes/search.js';
import { structTable, text, u8, u32, viewOf } from '../../bytes/struct-table.js';
import type { CoredProcess } from '../../dump/container.js';
import { deathOf } from './death.js';
import { noteOf, type ProcessCore } from './process-core.js';
import type { ProcessMemory } from './process-memory.js';
import type { Thread } from './threads.js';

const NT_PRPSINFO = 3;
const NT_AUXV = 6;
/** `struct elf_prpsinfo` of 64-bit machines; include/uapi/linux/elfcore.h. */
const PRPSINFO = structTable('elf_prpsinfo', 136, {
  pr_state: u8(0),
  pr_sname: u8(1),
  pr_uid: u32(16),
  pr_gid: u32(20),
  pr_pid: u32(24),
  pr_ppid: u32(28),
  pr_fname: text(40, 16),
  pr_psargs: text(56, 80),
});

/** End of the auxiliary vector's words: a type and a value. */
const AT_NULL = 0n;
const AT_EXECFN = 31n;
/** The kernel gives arguments and environment at most a quarter of the stack's limit, and never more than this. */
const MAX_STACK = 6 * 1024 * 1024;
const MAX_ARGUMENTS = 100_000;
const MAX_ARGUMENT = 128 * 1024;

/** Who a process was, and how it ended. */
export function processFacts(
  core: ProcessCore,
  threads: readonly Thread[],
): Omit<CoredProcess, 'accelerator' | 'stale'> {
  const { notes, memory } = core;
  const note = noteOf(notes, NT_PRPSINFO);
  const info = note !== undefined && note.length >= PRPSINFO.size ? PRPSINFO.read(viewOf(note)) : undefined;
  const auxv = noteOf(notes, NT_AUXV);
  const found = auxv && argumentsOf(memory, auxv);
  const short = info?.pr_psargs.trim() ?? '';
  return {
    pid: info?.pr_pid ?? threads[0]?.tid ?? 0,
    comm: info?.pr_fname ?? '',
    commandLine: found ?? (short === '' ? [] : short.split(' ')),
    death: deathOf(core, threads),
  };
}

/**
 * A process's arguments, from the top of its stack: their number, their addresses, NULL, the environment's addresses,
 * NULL, the auxiliary vector (fs/binfmt_elf.c). Undefined where the core does not have them.
 */
function argumentsOf(memory: ProcessMemory, auxv: Uint8Array): string[] | undefined {
  const view = viewOf(auxv);
  let name: number | undefined;
  let end = 0;
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    const type = view.getBigUint64(at, true);
    if (type === AT_EXECFN) name = Number(view.getBigUint64(at + 8, true));
    end = at + 16;
    if (type === AT_NULL) break;
  }
  const span = name === undefined ? undefined : memory.at(name);
  if (span === undefined || end === 0) return undefined;
  const from = Math.max(span.start, span.end - MAX_STACK);
  const stack = memory.upTo(from, span.end - from);
  const at = find(stack, auxv.subarray(0, end));
  if (at < 8 || at % 8 !== 0) return undefined;
  const words = viewOf(stack);
  const word = (offset: number): number => Number(words.getBigUint64(offset, true));
  let before = at - 16;
  while (before >= 0 && word(before) !== 0) before -= 8;
  // Now at the NULL behind the arguments, if the one at at - 8 was that behind the environment.
  const last = before;
  for (let count = 0; count <= MAX_ARGUMENTS && last - 8 * (count + 1) >= 0; count++) {
    const first = last - 8 * count;
    if (word(first - 8) !== count) continue;
    const strings: string[] = [];
    for (let i = 0; i < count; i++) {
      const value = memory.string(word(first + 8 * i), MAX_ARGUMENT);
      if (value === undefined) return undefined;
      strings.push(value);
    }
    return strings;
  }
  return undefined;
}
