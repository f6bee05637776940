/** The thread of a conversion: does one task after another. */

import { parentPort, workerData } from 'node:worker_threads';
import { plainError } from '../../bytes/plain-error.js';
import { nodeEncoder } from '../../codecs/node.js';
import { PageWorker } from '../page-worker.js';
import type { Packed, Scanned } from '../tasks.js';
import type { Request, Response, ThreadData } from './messages.js';
import { openShared } from './shared-input.js';

const port = parentPort;
if (port === null) throw new Error('this is the program of a worker thread');

const { input, ending } = workerData as ThreadData;
/** What a thread keeps of a host's dump that it looks for a guest in, in bytes. */
const HOST_CACHE = 32 * 1024 * 1024;
/** Looking for guests takes much code that no other conversion needs. */
const guests = input.guest === undefined ? undefined : await import('../../hypervisor/select.js');

let worker: PageWorker | undefined;

/** Opened with the first task, so that what is wrong with the input is that task's error. */
function open(): PageWorker {
  if (worker === undefined) {
    const container = openShared(input, input.guest === undefined ? undefined : HOST_CACHE);
    const guest = input.guest === undefined ? undefined : guests?.selectGuest(container, input.guest);
    worker = new PageWorker(guest?.memory ?? container.memory);
  }
  return worker;
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
