import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Blanking } from './blanking.js';

const KIND = 'pipes';
/** `ring_size` is a power of two; /proc/sys/fs/pipe-max-size can be set to 2 GiB. */
const LARGEST_RING = 1 << 19;

/** What was written to pipes and not read, and the pages that they keep for the next write; fs/pipe.c. */
export function scrubPipes(blanking: Blanking, files: readonly Struct[]): void {
  const { view } = blanking;
  blanking.count(KIND, 0, 0);
  const seen = new Set<bigint>();
  for (const file of files) {
    blanking.attempt(KIND, () => {
      const address = file.pointer('private_data');
      if (address === 0n || seen.has(address)) return;
      seen.add(address);
      scrubPipe(blanking, view, view.struct('pipe_inode_info', address));
    });
  }
}

function scrubPipe(blanking: Blanking, view: KernelView, pipe: Struct): void {
  const spare = pipe.type.require('tmp_page');
  for (let at = 0; at < spare.size; at += 8) {
    const page = view.memory.pointer(pipe.address + BigInt(spare.offset + at));
    if (page !== 0n) blanking.dropPage(KIND, page);
  }
  const size = Math.min(pipe.int('ring_size'), LARGEST_RING);
  const [head, tail] = [pipe.int('head'), pipe.int('tail')];
  const used = Math.min((head - tail) >>> 0, size);
  const own = view.kernel.symbols.address('anon_pipe_buf_ops');
  const { size: each } = view.types.requireStruct('pipe_buffer');
  const ring = pipe.pointer('bufs');
  for (let index = 0; index < used; index++) {
    const slot = ((tail + index) >>> 0) % size;
    const buffer = view.struct('pipe_buffer', ring + BigInt(slot * each));
    const page = buffer.pointer('page');
    if (page === 0n) continue;
    // A page of the pipe's own has what earlier writes left, too.
    if (own !== undefined && buffer.pointer('ops') === own) blanking.dropPage(KIND, page);
    else blanking.partOfPage(KIND, page, buffer.int('offset'), buffer.int('len'));
  }
}
