import { hex, type Pfn, physicalAddress, type VirtualAddress } from '../bytes/address.js';
import type { PageTable } from '../machine/machine.js';
import { isAbsence } from './absence.js';
import { parseAddress, parseHex } from './address.js';
import type { VtopReport } from './schema/vtop.js';
import { requireKernel, requireMachine, type Subject } from './subject.js';
import { damageOf, hexOrNull, symbolOf } from './words.js';

export interface VtopOptions {
  /** Physical address of another top-level table, in hexadecimal. */
  readonly root?: string | undefined;
  /** Levels of that table. */
  readonly levels?: number | undefined;
}

/** Walks the page table for each address. Throws EXH_NO_KERNEL when there is neither a kernel nor a root to walk from. */
export function buildVtop(subject: Subject, queries: readonly string[], options: VtopOptions = {}): VtopReport {
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const table = tableOf(subject, options);
  const translations = queries.map((query) =>
    translate(query, parseAddress(query, kernel?.symbols), table, (address) => symbolOf(kernel, address)),
  );
  const damage = damageOf(subject);
  const complete = damage.length === 0 && translations.every(({ physical }) => physical !== null);
  return { schema: 'exhume-vtop/1', complete, root: hex(table.root), levels: table.levels, translations, damage };
}

function tableOf(subject: Subject, options: VtopOptions): PageTable {
  if (options.root === undefined) return requireKernel(subject).pageTable;
  const { kernel } = subject;
  const levels = options.levels ?? (isAbsence(kernel) ? 4 : kernel.pageTable.levels);
  return requireMachine(subject).pageTable(physicalAddress(parseHex(options.root)), levels);
}

function translate(
  query: string,
  virtual: VirtualAddress,
  table: PageTable,
  symbol: (address: bigint) => string | null,
): VtopReport['translations'][number] {
  const walk = table.walk(virtual);
  const memory = table.physical;
  const page = walk.physical === undefined ? null : memory.state(Math.floor(walk.physical / memory.pageSize) as Pfn);
  return {
    query,
    virtual: hex(virtual),
    symbol: symbol(virtual),
    physical: hexOrNull(walk.physical),
    pageBytes: walk.pageSize ?? null,
    page,
    steps: walk.steps.map((step) => ({
      level: step.level,
      entryAddress: hex(step.entryAddress),
      entry: hex(step.entry),
      flags: [...step.flags],
    })),
    stopped: walk.stopped ?? null,
  };
}
