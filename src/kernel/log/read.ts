import { ExhumeError } from '../../bytes/errors.js';
import { readPrintkRingbuffer } from './printk-ringbuffer.js';
import type { KernelLog } from './record.js';
import { type LogSource, symbolAddress } from './source.js';

/**
 * Reads the kernel log, in whichever of its three forms this kernel keeps it: told by which symbols it has.
 *
 * What is broken is in the log's `damage`; what is missing in `lost`. Throws EXH_NO_SYMBOL when there is no log to be found,
 * EXH_NO_LAYOUT, EXH_BAD_STRUCTURE or memory's errors when it cannot be read at all.
 */
export function readKernelLog(source: LogSource): KernelLog {
  const prb = symbolAddress(source, 'prb');
  if (prb !== undefined) return readPrintkRingbuffer(source, prb);
  throw new ExhumeError('EXH_NO_SYMBOL', 'kernel log: neither VMCOREINFO nor kallsyms has prb or log_buf', {
    expected: 'prb, or log_buf',
    hint: '`exhume info` shows what was found of symbols',
  });
}
