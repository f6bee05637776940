import type { VirtualAddress } from '../../bytes/address.js';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { readLogBuf } from './log-buf.js';
import { readPrintkRingbuffer } from './printk-ringbuffer.js';
import type { KernelLog } from './record.js';
import { type LogSource, symbolAddress } from './source.js';
import { readTextLog } from './text-log.js';

/**
 * Reads the kernel log, in whichever of its three forms this kernel keeps it: told by which symbols it has.
 *
 * What is broken is in the log's `damage`; what is missing in `lost`. Throws EXH_NO_SYMBOL when there is no log to be found,
 * EXH_NO_LAYOUT, EXH_BAD_STRUCTURE or memory's errors when it cannot be read at all.
 */
export function readKernelLog(source: LogSource): KernelLog {
  const prb = symbolAddress(source, 'prb');
  if (prb !== undefined) return readPrintkRingbuffer(source, prb);
  const pointers = logBufPointers(source);
  if (pointers.length === 0) {
    throw new ExhumeError('EXH_NO_SYMBOL', 'kernel log: neither VMCOREINFO nor kallsyms has prb or log_buf', {
      expected: 'prb, or log_buf',
      hint: '`exhume info` shows what was found of symbols',
    });
  }
  const read = symbolAddress(source, 'log_first_idx') === undefined ? readTextLog : readLogBuf;
  return best(pointers.map((pointer) => () => read(source, pointer)));
}

/** Kernels 3.18 to 4.14 have another `log_buf`, in the BPF verifier; only VMCOREINFO says which is which. */
function logBufPointers(source: LogSource): readonly VirtualAddress[] {
  const told = source.vmcoreinfo?.symbol('log_buf');
  return told === undefined
    ? source.symbols.findAll('log_buf').map((symbol) => symbol.address)
    : [told as VirtualAddress];
}

/** The log with the least damage, and of those the longest; when none can be read, the first one's error. */
function best(attempts: readonly (() => KernelLog)[]): KernelLog {
  const logs: KernelLog[] = [];
  let failure: ExhumeError | undefined;
  for (const attempt of attempts) {
    try {
      logs.push(attempt());
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      failure ??= error;
    }
  }
  logs.sort((a, b) => a.damage.length - b.damage.length || b.records.length - a.records.length);
  const [first] = logs;
  if (first === undefined) throw failure ?? new ExhumeError('EXH_NO_SYMBOL', 'kernel log: log_buf is nowhere');
  return first;
}
