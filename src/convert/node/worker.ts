/** The thread of a conversion: does one task after another. */

import { parentPort, workerData } from 'node:worker_threads';
import { plainError } from '../../bytes/plain-error.js';
import { nodeEncoder } from '../../codecs/node.js';
import type { Container } from '../../dump/container.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { PageWorker } from '../page-worker.js';
import type { Packed, Scanned } from '../tasks.js';
import type { Request, Response, ThreadData } from './messages.js';
import { openShared } from './shared-input.js';

const port = parentPort;
if (port === null) throw new Error('this is the program of a worker thread');

const { input, ending } = workerData as ThreadData;
/** What a thread keeps of a host's dump that it looks for a guest in, in bytes. */
const HOST_CACHE = 32 * 1024 * 1024;
const { guest, layout } = input;
/** A guest whose layout is known takes little code, to look for one takes much. */
const layouts = layout && (await import('../../hypervisor/guest-layout.js'));
const guests =
  layout?.swapped === false || guest === undefined ? undefined : await import('../../hypervisor/select.js');

let worker: PageWorker | undefined;

/** Opened with the first task, so that what is wrong with the input is that task's error. */
function open(): PageWorker {
  if (worker === undefined) {
    const container = openShared(input, input.guest === undefined ? undefined : HOST_CACHE);
    worker = new PageWorker(memoryIn(container));
  }
  return worker;
}

/** The memory that is converted: the dump's, or that of the guest in it. Its pages in swap are looked for as they come. */
function memoryIn(container: Container): PhysicalMemory {
  if (guest === undefined) return container.memory;
  if (layout === undefined) return guests?.selectGuest(container, guest).memory ?? container.memory;
  const swap = guests?.hostSwapIn(container);
  const read = (type: number, offset: number) => swap?.read(type, offset) ?? 'lost';
  return layouts?.memoryOf(layout, container.memory, { read }) ?? container.memory;
}

let configure: (() => void) | undefined;

port.on('message', (request: Request) => {
  if (request.kind === 'end') {
    // Without it the thread has nothing to wait for.
    port.close();
    return;
  }
  if (Atomics.load(ending, 0) !== 0) return;
  if (request.kind === 'configure') {
    const { settings } = request;
    const { method, level } = settings;
    configure = () => open().configure(settings, method === undefined ? undefined : nodeEncoder(method, level));
    return;
  }
  const { id, task } = request;
  try {
    configure?.();
    configure = undefined;
    const result = open().run(task);
    port.postMessage({ id, result } satisfies Response, transferable(result));
  } catch (error) {
    port.postMessage({ id, error: plainError(error) } satisfies Response);
  }
});

function transferable(result: Packed | Scanned): ArrayBuffer[] {
  return 'buffer' in result ? [result.buffer] : [];
}
