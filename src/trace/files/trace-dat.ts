/**
 * `trace.dat`, the file of trace-cmd, versions 6 and 7: the numbers that both reader and writer need.
 * Sources: trace-cmd's Documentation/trace-cmd/trace-cmd.dat.v6.5.txt and v7.5.txt, lib/trace-cmd/trace-output.c and trace-input.c.
 */

/** What the file begins with: three bytes and `tracing`. */
export const TRACE_DAT_MAGIC = Uint8Array.of(0x17, 0x08, 0x44, ...new TextEncoder().encode('tracing'));

export const OPTIONS_TEXT = 'options  ';
export const FLYRECORD_TEXT = 'flyrecord';
export const LATENCY_TEXT = 'latency  ';
export const HEADER_PAGE_TEXT = 'header_page';
export const HEADER_EVENT_TEXT = 'header_event';

/** Options, and the sections of version 7, which have the numbers of the options that lead to them. */
export const TraceDatOption = {
  done: 0,
  cpuStatistics: 2,
  buffer: 3,
  traceClock: 4,
  uname: 5,
  offset: 7,
  cpuCount: 8,
  tscToNanoseconds: 14,
  headerInfo: 16,
  ftraceEvents: 17,
  eventFormats: 18,
  kallsyms: 19,
  printk: 20,
  cmdlines: 21,
} as const;

/** A section's header in version 7: u16 number, u16 flags, u32 name, u64 size. */
export const SECTION_HEADER = 16;
export const SECTION_COMPRESSED = 1;
/** A section without a name. */
export const NO_NAME = 0xffffffff;
