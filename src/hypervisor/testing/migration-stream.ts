/** Writes small migration streams for tests. Numbers of records and flags stand here as numbers of their own. */

import { zlibSync } from 'fflate';
import { concat } from '../../bytes/concat.js';
import { CPU_FIELDS } from '../migration/cpu-section.js';

const PAGE = 4096;

export interface StreamSpec {
  readonly machine: string;
  readonly blocks: readonly (readonly [name: string, pages: number])[];
  /** In their order: a block's number, a page's, and what it is. */
  readonly pages: readonly (readonly [
    block: number,
    page: number,
    content: Uint8Array | number,
    compressed?: boolean,
  ])[];
  readonly cpus: readonly { readonly rip: bigint; readonly halted: boolean }[];
  /** With the stream's own description; one field more before the registers than QEMU has. */
  readonly described?: boolean;
  readonly mappedRam?: boolean;
  /** Written before the memory, of a length that only its reader knows. */
  readonly early?: boolean;
}

export function writeStream(spec: StreamSpec): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const push = (...bytes: readonly (Uint8Array | number)[]): void => {
    for (const one of bytes) {
      const part = typeof one === 'number' ? Uint8Array.of(one) : one;
      parts.push(part);
      size += part.length;
    }
  };
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const string = (value: string): void => push(value.length, text(value));
  push(text('QEVM'), u32(3), 7, u32(spec.machine.length), text(spec.machine));
  if (spec.mappedRam === true) {
    push(5);
    string('configuration/capabilities');
    push(u32(1), u32(1));
    string('mapped-ram');
  }
  if (spec.early === true) section('apic', 0, 3, new Uint8Array(300).fill(0x55));
  push(1, u32(2));
  string('ram');
  push(u32(0), u32(4));
  const total = spec.blocks.reduce((sum, [, pages]) => sum + pages * PAGE, 0);
  push(u64(BigInt(total) | 4n));
  spec.blocks.forEach(([name, count], block) => {
    string(name);
    push(u64(BigInt(count * PAGE)));
    if (spec.mappedRam === true) mapped(block, count);
  });
  push(u64(0x10n), 0x7e, u32(2), 2, u32(2));
  let last = -1;
  for (const [block, page, content, compressed] of spec.mappedRam === true ? [] : spec.pages) {
    const same = block === last ? 0x20n : 0n;
    const kind = typeof content === 'number' ? 2n : compressed === true ? 0x100n : 8n;
    push(u64(BigInt(page * PAGE) | same | kind));
    if (same === 0n) string(spec.blocks[block]?.[0] ?? '');
    last = block;
    const packed = typeof content === 'number' ? undefined : zlibSync(content);
    if (compressed === true && packed !== undefined) push(u32(packed.length), packed);
    else push(content);
  }
  push(u64(0x10n), 0x7e, u32(2), 3, u32(2), u64(0x10n), 0x7e, u32(2));
  spec.cpus.forEach(({ rip, halted }, i) => {
    section('cpu_common', i, 1, concat([u32(halted ? 1 : 0), u32(0)]));
    section('cpu', i, 12, cpu(rip, i, spec.described === true));
  });
  push(0);
  if (spec.described === true) {
    const fields = [
      { name: 'new', size: 4, array_len: 3 },
      ...CPU_FIELDS.map(({ name, bytes }) => ({ name, size: bytes })),
    ];
    const devices = spec.cpus.map((_, i) => ({ name: 'cpu', instance_id: i, version: 12, fields }));
    const json = text(JSON.stringify({ page_size: PAGE, devices }));
    push(6, u32(json.length), json);
  }
  return concat(parts);

  function section(name: string, instance: number, version: number, body: Uint8Array): void {
    push(4, u32(9));
    string(name);
    push(u32(instance), u32(version), body, 0x7e, u32(9));
  }

  /** The header, a bitmap of one word, and the pages at their places, from the next whole page of the file on. */
  function mapped(block: number, count: number): void {
    const bitmap = size + 28;
    const pagesAt = Math.ceil((bitmap + 8) / PAGE) * PAGE;
    push(u32(1), u64(BigInt(PAGE)), u64(BigInt(bitmap)), u64(BigInt(pagesAt)));
    const bits = new Uint8Array(pagesAt - bitmap);
    const bytes = new Uint8Array(count * PAGE);
    for (const [of, page, content] of spec.pages) {
      if (of !== block || typeof content === 'number') continue;
      bits[page >> 3] = (bits[page >> 3] ?? 0) | (1 << (page & 7));
      bytes.set(content, page * PAGE);
    }
    push(bits, bytes);
  }
}

function cpu(rip: bigint, index: number, withNew: boolean): Uint8Array {
  const values: Record<string, Uint8Array> = {
    'env.regs': concat(Array.from({ length: 16 }, (_, i) => u64(BigInt(0x1000 + 16 * index + i)))),
    'env.eip': u64(rip),
    'env.eflags': u64(0x246n),
    'env.idt': concat([u32(0), u64(0xffff_fe00_0000_0000n), u32(0xfff), u32(0)]),
    'env.cr[0]': u64(0x8005_0033n),
    'env.cr[3]': u64(0x1000n),
    'env.kernelgsbase': u64(0xffff_8880_0010_0000n),
  };
  const fields = CPU_FIELDS.map(({ name, bytes }) => values[name] ?? new Uint8Array(bytes));
  return concat([...(withNew ? [new Uint8Array(12).fill(0xaa)] : []), ...fields, new Uint8Array(100)]);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** libvirt's header before a stream. */
export function writeLibvirtSave(stream: Uint8Array, format: number): Uint8Array {
  const xml = new TextEncoder().encode("<domain type='kvm'><name>web</name></domain>\0");
  const header = new Uint8Array(92);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode('LibvirtQemudSave'));
  view.setUint32(16, 2, true);
  view.setUint32(20, xml.length, true);
  view.setUint32(28, format, true);
  return concat([header, xml, stream]);
}
