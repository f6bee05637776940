import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type Pfn, type PhysicalAddress, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';
import type { LogSource } from '../kernel/log/source.js';
import { parseVmcoreinfo, type Vmcoreinfo } from '../kernel/vmcoreinfo.js';
import { VirtualMemory } from '../machine/virtual-memory.js';

const PAGE = 4096;

/** Pages in the order in which they were given. */
class PageList extends PhysicalMemory {
  readonly pageSize = PAGE;

  constructor(readonly pages: (Uint8Array | MissingState)[]) {
    super();
  }

  ranges(): readonly PhysicalRange[] {
    return [{ start: 0 as PhysicalAddress, end: (this.pages.length * PAGE) as PhysicalAddress }];
  }

  state(pfn: Pfn): PageState {
    const page = this.page(pfn);
    return typeof page === 'string' ? page : 'present';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.pages[pfn] ?? 'absent';
  }
}

/** A virtual memory that holds a few segments and nothing else. */
export class SegmentMemory extends VirtualMemory {
  private readonly list: PageList;
  private readonly pageOf = new Map<bigint, number>();

  constructor() {
    const list = new PageList([]);
    super(list, true);
    this.list = list;
  }

  translate(address: VirtualAddress): PhysicalAddress | undefined {
    const index = this.pageOf.get(address / BigInt(PAGE));
    return index === undefined ? undefined : ((index * PAGE + Number(address % BigInt(PAGE))) as PhysicalAddress);
  }

  /** Puts bytes at a virtual address; the rest of their pages is zeros. */
  write(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = address + BigInt(done);
      const number = at / BigInt(PAGE);
      const index = this.pageOf.get(number) ?? this.list.pages.push(new Uint8Array(PAGE)) - 1;
      this.pageOf.set(number, index);
      const page = this.list.pages[index];
      const within = Number(at % BigInt(PAGE));
      const length = Math.min(PAGE - within, bytes.length - done);
      if (typeof page !== 'string') page?.set(bytes.subarray(done, done + length), within);
      done += length;
    }
  }

  /** Filters a page out, as a dump writer does. */
  exclude(address: bigint): void {
    const index = this.pageOf.get(address / BigInt(PAGE));
    if (index !== undefined) this.list.pages[index] = 'excluded';
  }
}

interface Description {
  readonly vmcoreinfo: string;
  /** Symbols that VMCOREINFO does not name; hexadecimal. */
  readonly symbols: Readonly<Record<string, string>>;
  /** What the `.bin.gz` holds, one after another. */
  readonly segments: readonly { readonly address: string; readonly size: number }[];
}

export interface LogFixture {
  readonly memory: SegmentMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly source: LogSource;
  readonly segments: readonly { readonly address: VirtualAddress; readonly size: number }[];
}

/** The bytes of a file in src/kernel/log/fixtures. */
export function fixtureBytes(file: string): Uint8Array {
  return readFileSync(fileURLToPath(new URL(`../../../src/kernel/log/fixtures/${file}`, import.meta.url)));
}

/** As lines of text; Latin-1, so that no byte is lost. */
export function fixtureLines(file: string): string[] {
  const bytes = file.endsWith('.gz') ? gunzipSync(fixtureBytes(file)) : Buffer.from(fixtureBytes(file));
  return bytes.toString('latin1').replace(/\n$/, '').split('\n');
}

const images = new Map<string, { readonly description: Description; readonly bytes: Uint8Array }>();

/** A kernel's log as it stood in memory; a new copy each time, to be damaged at will. */
export function logFixture(name: string): LogFixture {
  let image = images.get(name);
  if (image === undefined) {
    const description = JSON.parse(Buffer.from(fixtureBytes(`${name}.json`)).toString()) as Description;
    image = { description, bytes: gunzipSync(fixtureBytes(`${name}.bin.gz`)) };
    images.set(name, image);
  }
  const { description, bytes } = image;
  const memory = new SegmentMemory();
  const segments = description.segments.map(({ address, size }) => ({ address: at(address), size }));
  let done = 0;
  for (const { address, size } of segments) {
    memory.write(address, bytes.subarray(done, done + size));
    done += size;
  }
  const vmcoreinfo = parseVmcoreinfo(Buffer.from(description.vmcoreinfo));
  const source: LogSource = {
    memory,
    vmcoreinfo,
    symbols: {
      address: (symbol) => {
        const address = description.symbols[symbol];
        return address === undefined ? undefined : at(address);
      },
      findAll: () => [],
    },
    layouts: {
      offset: (struct, member) => vmcoreinfo.offset(struct, member),
      size: (struct) => vmcoreinfo.size(struct),
      memberSize: () => undefined,
      number: (symbol) => vmcoreinfo.number(symbol),
    },
  };
  return { memory, vmcoreinfo, source, segments };
}

function at(hexadecimal: string): VirtualAddress {
  return virtualAddress(BigInt(`0x${hexadecimal}`));
}
