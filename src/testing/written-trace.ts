import { namesOfText } from '../trace/formats/names-text.js';
import { traceFormats, USUAL_COMMON_FIELDS } from '../trace/formats/trace-formats.js';
import type { EventFormat, Trace, TraceBuffer } from '../trace/model.js';
import { bufferOf, RecordWriter } from './sub-buffers.js';

/** Formats as Linux 6.1 has them, of events that a test lays itself. */
export const SWITCH: EventFormat = {
  id: 310,
  system: 'sched',
  name: 'sched_switch',
  fields: [
    { name: 'prev_comm', type: 'char[16]', offset: 8, size: 16, signed: false },
    { name: 'prev_pid', type: 'pid_t', offset: 24, size: 4, signed: true },
    { name: 'next_pid', type: 'pid_t', offset: 28, size: 4, signed: true },
  ],
  printFormat: '"prev_comm=%s prev_pid=%d ==> next_pid=%d", REC->prev_comm, REC->prev_pid, REC->next_pid',
};

export const PRINT: EventFormat = {
  id: 5,
  system: 'ftrace',
  name: 'print',
  fields: [
    { name: 'ip', type: 'unsigned long', offset: 8, size: 8, signed: false },
    { name: 'buf', type: 'char[]', offset: 16, size: 0, signed: false },
  ],
  printFormat: '"%ps: %s", (void *)REC->ip, REC->buf',
};

const KALLSYMS =
  'ffffffff81000000 T _text\nffffffff81000100 T tracing_mark_write\nffffffff81000200 t next\t[some_module]\n';

/** A trace whose records a test laid, with the formats above and a few names. */
export function writtenTrace(
  buffers: readonly TraceBuffer[],
  formats: readonly EventFormat[] = [SWITCH, PRINT],
): Trace {
  return {
    source: 'written by a test',
    release: '6.1.0-test',
    littleEndian: true,
    longSize: 8,
    onlineCpus: 2,
    formats: traceFormats(USUAL_COMMON_FIELDS, formats),
    names: namesOfText({
      kallsyms: KALLSYMS,
      cmdlines: '1 init\n77 worker\n',
      printkFormats: '0xffffffff82000000 : "x=%d\\n"\n',
    }),
    buffers,
    clocks: undefined,
    damage: [],
  };
}

/** The payload of a `SWITCH` behind its `struct trace_entry`. */
export function switchPayload(comm: string, previous: number, next: number): Uint8Array {
  const bytes = new Uint8Array(24);
  bytes.set(new TextEncoder().encode(comm).subarray(0, 15));
  const view = new DataView(bytes.buffer);
  view.setInt32(16, previous, true);
  view.setInt32(20, next, true);
  return bytes;
}

/** The payload of a `PRINT` of `tracing_mark_write`. */
export function printPayload(text: string): Uint8Array {
  const words = new TextEncoder().encode(`${text}\n\0`);
  const bytes = new Uint8Array(8 + words.length);
  new DataView(bytes.buffer).setBigUint64(0, 0xffffffff81000100n + 0x10n, true);
  bytes.set(words, 8);
  return bytes;
}

/** Two CPUs with switches and markers, some with long pauses between, over several sub-buffers. */
export function writtenBuffer(facts: Parameters<typeof bufferOf>[1] = {}): TraceBuffer {
  const cpus = [0, 1].map((cpu) =>
    [0, 1, 2].map((page) => {
      const start = 5_000_000_000n + BigInt(page) * 40_000_000_000n;
      const writer = new RecordWriter(start);
      for (let index = 0; index < 40; index++) {
        const time = start + BigInt(index * 1000 + cpu) + (index > 30 ? 900_000_000n : 0n);
        if (index % 5 === 0)
          writer.event(time, PRINT.id, 77, printPayload(`mark ${page}.${index} ${'x'.repeat(index * 5)}`));
        else writer.event(time, SWITCH.id, 1, switchPayload('worker', 77, index), index);
      }
      return writer.done({ lost: page === 2 ? 7 : page === 1 ? -1 : 0 });
    }),
  );
  return bufferOf(cpus, facts);
}
