import type { TraceNames } from '../model.js';

/**
 * The files of tracefs and /proc that a `trace.dat` carries, as the kernel writes them.
 * Sources: kernel/trace/ring_buffer.c, trace_printk.c, trace_sched_switch.c; kernel/kallsyms.c.
 */

/** `events/header_page`, of sub-buffers of `pageSize` bytes. */
export function headerPage(pageSize: number, longSize: 4 | 8): string {
  const data = 8 + longSize;
  return (
    '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n' +
    `\tfield: local_t commit;\toffset:8;\tsize:${longSize};\tsigned:1;\n` +
    '\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n' +
    `\tfield: char data;\toffset:${data};\tsize:${pageSize - data};\tsigned:0;\n`
  );
}

/** `events/header_event`. */
export const HEADER_EVENT =
  '# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n' +
  '\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n';

/** `/proc/kallsyms`. */
export function kallsymsText(names: TraceNames, longSize: 4 | 8): string {
  const lines: string[] = [];
  for (const { address, type, name, module } of names.symbols()) {
    const digits = address.toString(16).padStart(longSize * 2, '0');
    lines.push(`${digits} ${type} ${name}${module === undefined ? '' : `\t[${module}]`}\n`);
  }
  return lines.join('');
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '"': '\\"' };

/** `printk_formats`. */
export function printkFormatsText(names: TraceNames): string {
  let text = '';
  for (const [address, format] of names.printkFormats()) {
    text += `0x${address.toString(16)} : "${format.replace(/[\n\t"]/g, (one) => ESCAPES[one] ?? one)}"\n`;
  }
  return text;
}

/** `saved_cmdlines`. */
export function cmdlinesText(names: TraceNames): string {
  let text = '';
  for (const [pid, comm] of names.comms()) text += `${pid} ${comm.replaceAll('\n', ' ')}\n`;
  return text;
}
