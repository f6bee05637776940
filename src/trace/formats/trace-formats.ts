import type { EventFormat, TraceField, TraceFormats } from '../model.js';

/** What every record begins with on all kernels since 2.6.32 (`struct trace_entry`). */
export const USUAL_COMMON_FIELDS: readonly TraceField[] = [
  { name: 'common_type', type: 'unsigned short', offset: 0, size: 2, signed: false },
  { name: 'common_flags', type: 'unsigned char', offset: 2, size: 1, signed: false },
  { name: 'common_preempt_count', type: 'unsigned char', offset: 3, size: 1, signed: false },
  { name: 'common_pid', type: 'int', offset: 4, size: 4, signed: true },
];

/** The formats of a list. Of two with one number, or one name in one system, the first one counts. */
export function traceFormats(common: readonly TraceField[], formats: Iterable<EventFormat>): TraceFormats {
  const byId = new Map<number, EventFormat>();
  const byName = new Map<string, EventFormat>();
  for (const format of formats) {
    if (!byId.has(format.id)) byId.set(format.id, format);
    const name = `${format.system}/${format.name}`;
    if (!byName.has(name)) byName.set(name, format);
  }
  return {
    common,
    byId: (id) => byId.get(id),
    find: (system, name) => byName.get(`${system}/${name}`),
    all: [...byId.values()].sort((one, other) => one.id - other.id),
    listed: [...byId.values()],
  };
}
