import { hex } from '../../bytes/address.js';
import type { ByteSource } from '../../bytes/byte-source.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { JoinedSource } from '../../bytes/joined-source.js';
import type { Container, HeaderFact } from '../../dump/container.js';
import type { Opener } from '../../dump/open.js';
import { EvidenceLog } from '../../kernel/evidence.js';
import type { Evidence } from '../../kernel/kernel.js';
import { guestNameOf, optionOf } from '../command-line.js';
import type { GuestCpu } from '../guest.js';
import { guestContainer } from '../guest-container.js';
import { mappedPointers } from '../mapped-pointers.js';
import { bestSplit } from '../memory-layout.js';
import { readCpus } from './cpus.js';
import { EXPORTED, listedCpus, withListedBlocks } from './exported-lists.js';
import { type FlatView, findFlatViews, type GuestRange } from './flat-view.js';
import { type BackingFile, guestMemory, type MissingBlock } from './guest-memory.js';
import { openProcessCore, type ProcessCore } from './process-core.js';
import { processFacts } from './process-facts.js';
import { exportedSymbols, isProgram } from './program.js';
import { findRamBlocks, type RamBlock } from './ram-blocks.js';
import { threadsOf } from './threads.js';

const KVM_FILE = /anon_inode:kvm-vcpu|^\/dev\/kvm$/;

/**
 * Opens the core of a QEMU process as the machine that it ran. Other sources are files that had the machine's memory, or
 * QEMU's program.
 */
export const openQemuCore: Opener = ([source, ...parts], { cacheBytes, ...options }): Container | undefined => {
  if (source === undefined) return undefined;
  const core = openProcessCore(source, cacheBytes);
  if (core === undefined) return undefined;
  const threads = threadsOf(core);
  const process = processFacts(core, threads);
  const name = guestNameOf(process.commandLine) ?? process.comm;
  const evidence = new EvidenceLog();
  const given = parts.find(isProgram);
  const others = parts.filter((part) => part !== given);
  const exported = exportedSymbols(core, given, EXPORTED, options, evidence) ?? new Map<string, number>();
  const found = findRamBlocks(core.memory);
  if (found.length > 0) evidence.accept('guest memory', 'RAM blocks in the heap', found.map(describeBlock).join(', '));
  const blocks = withListedBlocks(core.memory, found, exported, evidence);
  if (blocks.length === 0) throw notQemu(source, process.comm);
  const kvm = core.files.some(({ path }) => KVM_FILE.test(path));
  const { cpus, layout } = readCpus(core.memory, threads, {
    kvm: kvm ? core.files : undefined,
    listed: listedCpus(core.memory, exported),
  });
  const joined = joinSources(source, others);
  const build = (ranges: readonly GuestRange[]) => guestMemory(core, joined.source, ranges, joined.backing, cacheBytes);
  const map = mapOf(core, blocks, evidence, (ranges) => mappedPointers(build(ranges).memory, cpus));
  const { memory, missing } = build(map);
  const damage = [...core.damage.entries, ...missing.map(damageOfMissing)];
  if (cpus.length === 0) {
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: 'CPUs', message: 'no CPU state was found in the core of QEMU' });
  }
  if (core.endOfData > source.size) {
    const message = `${source.name}: its memory reaches to byte ${core.endOfData}, the file has ${source.size}: the rest is lost`;
    damage.push({ code: 'EXH_TRUNCATED', part: 'memory', message });
  }
  const description = `the core of process ${process.pid} (${process.comm})`;
  const container = guestContainer(
    {
      name,
      how: 'QEMU process',
      process: { ...process, name: guestNameOf(process.commandLine), uuid: optionOf(process.commandLine, 'uuid') },
      cpus,
      memory,
      evidence: evidence.all,
      damage,
    },
    {
      description,
      files: [source, ...parts].map((one) => one.name),
      incomplete: core.endOfData > source.size,
    },
  );
  const stale = staleOf(cpus);
  return {
    ...container,
    process: {
      ...process,
      accelerator: kvm ? 'KVM' : 'TCG',
      ...(stale !== undefined && { stale }),
    },
    facts: [...container.facts, ...layout.map((value) => ({ name: 'CPU states', value })), ...evidence.all.map(factOf)],
  };
};

function factOf({ question, method, answer, detail }: Evidence): HeaderFact {
  const note = detail === undefined ? method : `${method}: ${detail}`;
  return { name: question, value: answer ?? 'not found', note };
}

/** Which CPUs' registers may be old, and why. */
function staleOf(cpus: readonly GuestCpu[]): string | undefined {
  const reasons = new Map<string, number[]>();
  for (const { index, stale } of cpus) {
    if (stale !== undefined) reasons.set(stale, [...(reasons.get(stale) ?? []), index]);
  }
  if (reasons.size === 0) return undefined;
  return [...reasons].map(([reason, of]) => `CPU ${of.join(', ')}: ${reason}`).join('; ');
}

function describeBlock({ name, size }: RamBlock): string {
  return `${name} ${size / 1024} KiB`;
}

/** Which layout of the guest's memory is right: QEMU's own view, else the rule in which the CPUs' addresses lead somewhere. */
function mapOf(
  core: ProcessCore,
  blocks: readonly RamBlock[],
  evidence: EvidenceLog,
  judge: (ranges: readonly GuestRange[]) => number,
): readonly GuestRange[] {
  const views = findFlatViews(core.memory, blocks).filter(({ ranges }) => ranges.length > 0);
  const system = views.filter((view) => view.system);
  const view = mostMemory(system.length > 0 ? system : views);
  if (view !== undefined) {
    const method = view.system
      ? `QEMU's view of the address space "memory" at ${hex(view.at)}`
      : `QEMU's view at ${hex(view.at)} that has the most memory; none is called "memory"`;
    evidence.accept('guest-physical map', method, describeMap(view.ranges));
    return view.ranges;
  }
  const { split, layout, fits } = bestSplit(blocks, judge);
  const method = `the layout of ${split.machine}, as ${fits} addresses of CPUs are mapped in it`;
  evidence.accept('guest-physical map', method, describeMap(layout));
  return layout;
}

function mostMemory(views: readonly FlatView[]): FlatView | undefined {
  const size = ({ ranges }: FlatView): number => ranges.reduce((sum, range) => sum + range.size, 0);
  return views.reduce<FlatView | undefined>((best, one) => {
    return best === undefined || size(one) > size(best) ? one : best;
  }, undefined);
}

function describeMap(ranges: readonly GuestRange[]): string {
  return ranges
    .map(({ physical, size, block, offset }) => {
      return `${hex(physical)}-${hex(physical + size - 1)} ${block.name}${offset === 0 ? '' : `+${hex(offset)}`}`;
    })
    .join(', ');
}

function joinSources(
  source: ByteSource,
  others: readonly ByteSource[],
): { readonly source: ByteSource; readonly backing: readonly BackingFile[] } {
  if (others.length === 0) return { source, backing: [] };
  const joined = new JoinedSource([source, ...others]);
  return {
    source: joined,
    backing: others.map(({ name, size }, i) => ({ name, size, at: joined.starts[i + 1] as number })),
  };
}

/** What is not in the core, and what would have kept it. */
function damageOfMissing({ block, missing, file }: MissingBlock): Damage {
  const what = `${missing / 1024} KiB of the guest's memory (${block.name}) are not in the core`;
  const why =
    file === undefined
      ? 'QEMU had them left out: `-machine dump-guest-core=on`, `dump=on` of the memory backend, or ' +
        "`dumpCore='on'` in libvirt's <memory> keeps them"
      : `they are in the file ${file}: name it with --part FILE; ` +
        'bit 3 of /proc/PID/coredump_filter (0x8) puts them into the next core';
  return { code: 'EXH_PAGE_EXCLUDED', part: 'guest memory', message: `${what}: ${why}` };
}

function notQemu(source: ByteSource, comm: string): ExhumeError {
  return new ExhumeError(
    'EXH_UNSUPPORTED_FORMAT',
    `${source.name} is the core of a process${comm === '' ? '' : ` (${comm})`}, not of a kernel, and no QEMU machine is in it`,
    {
      file: source.name,
      format: 'process core',
      hint: /qemu|kvm/i.test(comm)
        ? 'its heap is not in the core; take a dump of the guest with dump-guest-memory instead'
        : 'use gdb',
    },
  );
}
