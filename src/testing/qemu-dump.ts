import type { Pfn, PhysicalAddress } from '../bytes/address.js';
import { describeDump } from '../convert/describe.js';
import { convert } from '../convert/node/conversion.js';
import { SingleCrew } from '../convert/node/crew.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';
import { MISREAD_PHYS_BASE, openSample } from './sample.js';

/** A PC's firmware, at the top of 4 GiB: QEMU describes it, the kernel does not know it. */
const FIRMWARE: PhysicalRange = { start: 0xfffc_0000 as PhysicalAddress, end: 0x1_0000_0000 as PhysicalAddress };

class WithFirmware extends PhysicalMemory {
  readonly pageSize: number;

  constructor(private readonly under: PhysicalMemory) {
    super();
    this.pageSize = under.pageSize;
  }

  ranges(): readonly PhysicalRange[] {
    return [...this.under.ranges(), FIRMWARE];
  }

  state(pfn: Pfn): PageState {
    return this.isFirmware(pfn) ? 'present' : this.under.state(pfn);
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.isFirmware(pfn) ? new Uint8Array(this.pageSize).fill(0xea) : this.under.page(pfn);
  }

  private isFirmware(pfn: Pfn): boolean {
    return pfn * this.pageSize >= FIRMWARE.start && pfn * this.pageSize < FIRMWARE.end;
  }
}

/** Writes the sample as QEMU wrote it: without utsname and time, with a wrong `phys_base`, and with the firmware's memory. */
export async function writeAsQemu(path: string): Promise<void> {
  const { container, kernel } = openSample();
  const memory = new WithFirmware(container.memory);
  const { description } = describeDump(container, kernel);
  const none = { sysname: '', nodename: '', release: '', version: '', domainname: '' };
  await convert({
    memory,
    verify: false,
    crew: new SingleCrew(memory),
    jobs: 1,
    exclusion: { zero: 'keep', classes: undefined, keep: undefined, scrubbed: undefined },
    memoryEnd: undefined,
    settings: { method: 'zlib', level: 1, passThrough: false, blank: new Float64Array() },
    output: { name: path, format: 'kdump', compression: 'zlib', split: 1 },
    description: {
      ...description,
      utsname: { ...none, machine: 'Unknown' },
      timestamp: { seconds: 0, microseconds: 0 },
      physBase: MISREAD_PHYS_BASE,
    },
    dryRun: false,
    listener: () => {},
    signal: new AbortController().signal,
  });
}
