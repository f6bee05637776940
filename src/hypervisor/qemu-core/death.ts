import { hex } from '../../bytes/address.js';
import { i32, structTable, u32, u64, viewOf } from '../../bytes/struct-table.js';
import type { CoredProcess } from '../../dump/container.js';
import { fileAt, noteOf, type ProcessCore } from './process-core.js';
import { heaps } from './ram-blocks.js';
import type { Thread } from './threads.js';

const NT_SIGINFO = 0x53494749;
/** `siginfo_t`: who sent it, or which address was at fault; include/uapi/asm-generic/siginfo.h. */
const SIGINFO = structTable('siginfo', 128, {
  si_signo: i32(0),
  si_errno: i32(4),
  si_code: i32(8),
  si_pid: u32(16),
  si_uid: u32(20),
  si_addr: u64(16),
});

/** What a debugger stops a process with before it takes a copy of it; nobody dies of it. */
const SIGSTOP = 19;
const SI_USER = 0;
const SI_TKILL = -6;
const SIGNALS = (
  'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM ' +
  'SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO ' +
  'SIGPWR SIGSYS'
).split(' ');
const FAULTS = ['SIGILL', 'SIGBUS', 'SIGFPE', 'SIGSEGV'];

/** What ended a process; undefined where no signal did: somebody took a copy of a living process. */
export function deathOf(core: ProcessCore, threads: readonly Thread[]): CoredProcess['death'] {
  const [first] = threads;
  const note = noteOf(core.notes, NT_SIGINFO);
  const info = note !== undefined && note.length >= SIGINFO.size ? SIGINFO.read(viewOf(note)) : undefined;
  const number = info?.si_signo || first?.signal || 0;
  if (number === 0 || number === SIGSTOP || first === undefined) return undefined;
  const signal = SIGNALS[number - 1] ?? `signal ${number}`;
  return {
    signal,
    detail: info === undefined ? '' : detailOf(signal, info, threads),
    thread: first.tid,
    where: placeOf(core, first.rip),
    messages: lastWords(core),
  };
}

function detailOf(
  signal: string,
  { si_code, si_pid, si_uid, si_addr }: { si_code: number; si_pid: number; si_uid: number; si_addr: bigint },
  threads: readonly Thread[],
): string {
  if (si_code === SI_USER || si_code === SI_TKILL) {
    return threads.some(({ tid }) => tid === si_pid)
      ? 'it sent it itself'
      : `sent by process ${si_pid} of user ${si_uid}`;
  }
  return FAULTS.includes(signal) && si_code > 0 ? `at address ${hex(si_addr)}` : '';
}

/** `FILE+0xOFFSET`, for a debugger on the file. */
function placeOf({ files, memory }: ProcessCore, rip: number): string {
  const file = fileAt(files, rip);
  if (file !== undefined) return `${file.path}+${hex(rip - file.start + file.offset)}`;
  return memory.at(rip) === undefined ? `${hex(rip)}, where nothing is mapped` : `${hex(rip)}, in no file`;
}

const PAGE = 4096;
/** glibc keeps what it printed before abort() in pages of their own: their length in bytes, and the text. */
const MAX_ABORT_MESSAGE = 64 * 1024;
const MAX_MESSAGES = 16;
/** `ERRO`, as GLib's assertions begin, in a word of memory. */
const ERRO = 0x4f525245;
/** `ERROR:FILE:LINE:FUNCTION: what`, as GLib's assertions print it. */
const GLIB_MESSAGE = /^ERROR:[^\s:]+:\d+:\w+: [^\n]{1,500}$/;

/** What it printed before it gave up: an assertion of glibc's or GLib's, a complaint of the allocator. */
function lastWords({ memory }: ProcessCore): string[] {
  const found = new Set<string>();
  memory.sweep(heaps(memory).likely, (words, address) => {
    for (let i = 0; i < words.length; i += 2) {
      const first = words[i] as number;
      const at = address + 4 * i;
      if (at % PAGE === 0 && first >= PAGE && first <= MAX_ABORT_MESSAGE && first % PAGE === 0) {
        const text = memory.string(at + 4, first - 4)?.trim();
        if (text !== undefined && text.length > 8 && isText(text)) found.add(text);
      } else if (first === ERRO) {
        const text = memory.string(at, 512)?.trim();
        if (text !== undefined && GLIB_MESSAGE.test(text)) found.add(text);
      }
      if (found.size === MAX_MESSAGES) return true;
    }
    return false;
  });
  return [...found];
}

function isText(value: string): boolean {
  return /^[\x20-\x7e\n\t]+$/.test(value);
}
