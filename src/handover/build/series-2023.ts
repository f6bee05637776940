import { viewOf } from '../../bytes/struct-table.js';
import type { MemoryArea } from '../model.js';
import { PAGE } from '../source-reader.js';
import { addressOf, type BuildContext, resolveContent, word32Of, wordOf } from './context.js';
import type { FtraceDescription } from './description.js';
import type { Piece } from './layout.js';
import { knownValue, memValue, type PlannedNode, type PlannedValue, textValue } from './tree.js';

/** `sizeof(struct buffer_page)` up to 6.7. */
const DESCRIPTOR_SIZE = 56;
/** Where kernels without five levels of tables map all memory, when KASLR is off: for pointers between descriptors. */
const DIRECT_MAP = 0xffff888000000000n;
/** In `list.next`: the page that it leads to is the head (`RB_PAGE_HEAD`). */
const PAGE_HEAD = 1n;

type Cpu = FtraceDescription['arrays'][number]['cpus'][number];

/** Of which version of the series the names are. */
export type Series = '2023-v2' | '2023-v3';

/** The node of ftrace: for each CPU its pages, each with its `struct buffer_page` before it (`rb_kho_write_cpu`). */
export function planFtrace(
  context: BuildContext,
  description: FtraceDescription,
  path: string,
  name: string,
  series: Series,
): PlannedNode {
  const { compatible = 'ftrace-v1', events = [], arrays } = description;
  const map = new Uint32Array(
    events.flatMap(({ crc, type }, index) => {
      const here = `${path}.events[${index}]`;
      return [word32Of(crc, `${here}.crc`), word32Of(type, `${here}.type`)];
    }),
  );
  return {
    name,
    properties: [
      { name: 'compatible', value: textValue(compatible) },
      { name: 'events', value: knownValue(new Uint8Array(map.buffer)) },
    ],
    children: arrays.map((array, index) => planArray(context, description, array, `${path}.arrays[${index}]`, series)),
  };
}

function planArray(
  context: BuildContext,
  description: FtraceDescription,
  array: FtraceDescription['arrays'][number],
  path: string,
  series: Series,
): PlannedNode {
  const old = series === '2023-v2';
  return {
    name: array.name ?? (old ? 'global_trace' : 'global-trace'),
    properties: [
      { name: 'compatible', value: textValue('ftrace,array-v1') },
      { name: old ? 'trace_flags' : 'trace-flags', value: u32(word32Of(array.flags, `${path}.flags`)) },
    ],
    children: array.cpus.map((cpu, index) => planCpu(context, description, cpu, `${path}.cpus[${index}]`)),
  };
}

function planCpu(context: BuildContext, description: FtraceDescription, cpu: Cpu, path: string): PlannedNode {
  const { descriptorSize = DESCRIPTOR_SIZE, preserve = true } = description;
  const preservation = preserve ? 'bytes' : 'no';
  const areas: MemoryArea[] = [];
  const descriptors: Piece[] = [];
  for (const [index, page] of cpu.pages.entries()) {
    const here = `${path}.pages[${index}]`;
    const what = `page ${index} of CPU ${cpu.cpu}`;
    const data: Piece = context.layout.place({
      what,
      path: here,
      size: PAGE,
      address: addressOf(page.address, `${here}.address`),
      preserve: preservation,
      content: resolveContent(context, page.content, `${here}.content`).content,
    });
    const descriptor = context.layout.place({
      what: `struct buffer_page of ${what}`,
      path: here,
      size: descriptorSize,
      address: addressOf(page.descriptor, `${here}.descriptor`),
      preserve: preservation,
      content: () => descriptorOf(descriptors, index, data, page, here, descriptorSize),
    });
    descriptors.push(descriptor);
    areas.push(descriptor, data);
  }
  return {
    name: `cpu${cpu.cpu.toString(16)}`,
    properties: [
      { name: 'compatible', value: textValue('ftrace,cpu-v1') },
      { name: 'cpu', value: u32(cpu.cpu) },
      { name: 'mem', value: memValue(areas) },
    ],
    children: [],
  };
}

/**
 * `struct buffer_page`: list.next, list.prev, write, read, entries, real_end, page; the first page is the head, which the
 * last one's `next` tells. In 64 bytes (since 6.8) `order` stands before `page`.
 */
function descriptorOf(
  ring: readonly Piece[],
  index: number,
  data: Piece,
  page: Cpu['pages'][number],
  path: string,
  size: number,
): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  const virtual = (piece: Piece | undefined): bigint => DIRECT_MAP + BigInt(piece?.address ?? 0);
  const last = index === ring.length - 1;
  view.setBigUint64(0, virtual(ring[last ? 0 : index + 1]) | (last ? PAGE_HEAD : 0n), true);
  view.setBigUint64(8, virtual(ring.at(index - 1)), true);
  view.setBigUint64(16, wordOf(page.write, `${path}.write`), true);
  view.setBigUint64(32, wordOf(page.entries, `${path}.entries`), true);
  view.setBigUint64(size >= 64 ? 56 : 48, virtual(data), true);
  return bytes;
}

function u32(value: number): PlannedValue {
  return knownValue(new Uint8Array(Uint32Array.of(value).buffer));
}
