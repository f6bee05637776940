import type { TraceBuffer } from '../model.js';

/** How the text looks: the buffer's `trace_options`, as far as the text depends on them. */
export interface TextSettings {
  /** `context-info`: task, CPU, flags and time before each event. */
  readonly context: boolean;
  /** `irq-info`: the column of flags. */
  readonly irqInfo: boolean;
  /** `record-tgid`: the column of thread groups. */
  readonly threadGroups: boolean;
  readonly latency: boolean;
  readonly verbose: boolean;
  /** `sym-offset`, `sym-addr`: how addresses of functions are shown. */
  readonly symbolOffset: boolean;
  readonly symbolAddress: boolean;
  /** `print-parent`: function events name their caller. */
  readonly parent: boolean;
  /** `trace_printk` (earlier `printk`) and `printk-msg-only`: messages alone, without the function that wrote them. */
  readonly messagesOnly: boolean;
  /** `annotate`: where the buffer of a CPU begins. */
  readonly annotate: boolean;
  /** `fields`: every field of an event in place of its own format. */
  readonly fields: boolean;
  readonly graph: GraphSettings;
}

/** The options of the function graph tracer. */
export interface GraphSettings {
  readonly cpu: boolean;
  readonly overhead: boolean;
  readonly process: boolean;
  readonly duration: boolean;
  readonly absoluteTime: boolean;
  readonly interrupts: boolean;
  readonly tail: boolean;
  readonly overrun: boolean;
  readonly returnValue: boolean;
  readonly returnValueHex: boolean;
  readonly returnAddress: boolean;
}

/** What a kernel starts with (`TRACE_DEFAULT_FLAGS` and the function graph's own), for sources that do not tell. */
const DEFAULTS: ReadonlySet<string> = new Set([
  'print-parent',
  'trace_printk',
  'annotate',
  'context-info',
  'irq-info',
  'funcgraph-cpu',
  'funcgraph-overhead',
  'funcgraph-duration',
  'funcgraph-irqs',
]);

/**
 * The settings of a buffer's text.
 * @param fields every field in place of the events' own formats, whatever the buffer says
 */
export function textSettings({ options = DEFAULTS }: TraceBuffer, fields = false): TextSettings {
  const set = (name: string): boolean => options.has(name);
  return {
    context: set('context-info'),
    irqInfo: set('irq-info'),
    threadGroups: set('record-tgid'),
    latency: set('latency-format'),
    verbose: set('verbose'),
    symbolOffset: set('sym-offset'),
    symbolAddress: set('sym-addr'),
    parent: set('print-parent'),
    messagesOnly: set('printk-msg-only') && (set('trace_printk') || set('printk')),
    annotate: set('annotate'),
    fields: fields || set('fields'),
    graph: {
      cpu: set('funcgraph-cpu'),
      overhead: set('funcgraph-overhead'),
      process: set('funcgraph-proc'),
      duration: set('funcgraph-duration'),
      absoluteTime: set('funcgraph-abstime'),
      interrupts: set('funcgraph-irqs'),
      tail: set('funcgraph-tail'),
      overrun: set('funcgraph-overrun'),
      returnValue: set('funcgraph-retval'),
      returnValueHex: set('funcgraph-retval-hex'),
      returnAddress: set('funcgraph-retaddr'),
    },
  };
}
