import { hex, physicalAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { JudgedRoot, Machine, PageTableRoot } from '../machine/machine.js';
import type { EvidenceLog } from './evidence.js';
import { parseVmcoreinfo, type Vmcoreinfo } from './vmcoreinfo.js';
import { scanForVmcoreinfo } from './vmcoreinfo-search.js';
import { pageTableOfVmcoreinfo, START_KERNEL_MAP } from './x86-64.js';

/** A kernel image that some page table maps: what may turn out to be a kernel. */
export interface Candidate {
  readonly root: JudgedRoot;
  /** No page table of it can be read: its image is taken to lie where VMCOREINFO says, and nothing else is mapped. */
  readonly assumed: boolean;
  /** The VMCOREINFO that led here, and where it stood. */
  readonly vmcoreinfo: { readonly text: Vmcoreinfo; readonly method: string } | undefined;
}

const ROOT = 'page-table root';
const NOTED = "VMCOREINFO in the dump's notes";
/** More than any kernel's image takes, in bytes. */
const LARGEST_IMAGE = 128 << 20;

/**
 * Kernel images in a machine, each once, by the cheapest way that works: VMCOREINFO from the notes and the CPUs'
 * control registers; when neither leads to one, VMCOREINFO pages in memory; then a search for page tables.
 */
export function findCandidates(machine: Machine, log: EvidenceLog): readonly Candidate[] {
  const found = new CandidateSet(machine, log);
  const noted = machine.container.vmcoreinfo;
  if (noted === undefined) log.reject('VMCOREINFO', "the dump's notes", undefined, 'the dump carries none');
  else found.addVmcoreinfo(parseVmcoreinfo(noted), NOTED);
  for (const cpu of machine.cpus) {
    if (cpu.mode === 'firmware') {
      const why = 'it translates no addresses: in firmware, or never started';
      log.reject(ROOT, `CR3 of CPU ${cpu.index}`, undefined, why);
    } else {
      machine.rootsOf(cpu).some((root) => found.addRoot(root, undefined));
    }
  }
  if (found.candidates.length > 0) return found.candidates;

  let pages = 0;
  for (const { vmcoreinfo, physical } of scanForVmcoreinfo(machine.memory)) {
    found.addVmcoreinfo(vmcoreinfo, `VMCOREINFO at physical ${hex(physical)}`);
    pages++;
  }
  if (pages === 0) log.reject('VMCOREINFO', 'scan of the whole memory', undefined, 'no page begins with OSRELEASE=');
  if (found.candidates.length > 0) return found.candidates;

  for (const root of bestRoots(machine.scanRoots())) found.addJudged(root, undefined);
  if (found.candidates.length > 0) return found.candidates;
  log.reject(ROOT, 'scan of the whole memory', undefined, 'no page is the top of a page table that maps a kernel');
  const assumed = noted === undefined ? undefined : assumeKernel(parseVmcoreinfo(noted), NOTED);
  return assumed === undefined ? [] : [assumed];
}

/**
 * The kernel that VMCOREINFO speaks of, when the dump was cut off before its page tables. What is left of its image
 * can still be read by `phys_base` alone. Undefined when the text does not say where it is.
 */
function assumeKernel(text: Vmcoreinfo, method: string): Candidate | undefined {
  const table = pageTableOfVmcoreinfo(text);
  const start = text.symbol('_stext');
  const physBase = text.number('phys_base');
  if (table === undefined || start === undefined || physBase === undefined) return undefined;
  const physical = start - START_KERNEL_MAP + physBase;
  if (physical < 0n || table.physical < 0n) return undefined;
  const root: JudgedRoot = {
    root: physicalAddress(table.physical),
    levels: table.levels[0] ?? 4,
    method,
    image: { virtual: virtualAddress(start), physical: physicalAddress(physical), size: LARGEST_IMAGE },
    physBase,
    directMap: undefined,
    evidence: [],
    score: 0,
    certain: false,
  };
  return { root, assumed: true, vmcoreinfo: { text, method } };
}

/**
 * The best page table of each kernel image. Every process has one, and those of an earlier boot may lie about:
 * they count only when no kernel's own table is anywhere.
 */
function bestRoots(roots: Iterable<JudgedRoot>): JudgedRoot[] {
  const best = new Map<string, JudgedRoot>();
  for (const root of roots) {
    const image = `${root.image.virtual} ${root.image.physical}`;
    if (root.score > (best.get(image)?.score ?? 0)) best.set(image, root);
  }
  const found = [...best.values()];
  const own = found.filter((root) => root.certain);
  return own.length > 0 ? own : found;
}

/** Candidates, one for each place where a kernel image lies; further page tables of the same one are evidence only. */
export class CandidateSet {
  private readonly found: Candidate[] = [];
  /** By root and levels: the CPUs often have one table between them. */
  private readonly judged = new Map<string, JudgedRoot | undefined>();

  constructor(
    private readonly machine: Machine,
    private readonly log: EvidenceLog,
  ) {}

  get candidates(): readonly Candidate[] {
    return this.found;
  }

  /** Adds the kernel that a VMCOREINFO text leads to, if there is one. */
  addVmcoreinfo(text: Vmcoreinfo, method: string): void {
    const table = pageTableOfVmcoreinfo(text);
    if (table === undefined) {
      this.log.reject(ROOT, method, undefined, 'it names no swapper_pg_dir or no phys_base');
      return;
    }
    try {
      const root = physicalAddress(table.physical);
      table.levels.some((levels) => this.addRoot({ root, levels, method }, { text, method }));
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.log.reject(ROOT, method, hex(table.physical), error.message);
    }
  }

  /** Is there a kernel image in this page table? Then it is among the candidates afterwards. */
  addRoot(root: PageTableRoot, vmcoreinfo: Candidate['vmcoreinfo']): boolean {
    const judged = this.judge(root);
    if (judged === undefined) {
      this.log.reject(ROOT, root.method, describe(root), 'maps no kernel image');
      return false;
    }
    this.addJudged(judged, vmcoreinfo);
    return true;
  }

  addJudged(root: JudgedRoot, vmcoreinfo: Candidate['vmcoreinfo']): void {
    this.log.accept(ROOT, root.method, describe(root), root.evidence.join(', '));
    const known = this.found.findIndex(
      ({ root: { image } }) => image.virtual === root.image.virtual && image.physical === root.image.physical,
    );
    const before = this.found[known];
    if (before === undefined) this.found.push({ root, assumed: false, vmcoreinfo });
    else
      this.found[known] = {
        root: root.score > before.root.score ? root : before.root,
        assumed: false,
        vmcoreinfo: before.vmcoreinfo ?? vmcoreinfo,
      };
  }

  private judge(root: PageTableRoot): JudgedRoot | undefined {
    const key = describe(root);
    if (!this.judged.has(key)) this.judged.set(key, this.tryJudge(root));
    const judged = this.judged.get(key);
    return judged && { ...judged, method: root.method };
  }

  /** A table in hostile or torn memory may not be readable: then there is no image in it. */
  private tryJudge(root: PageTableRoot): JudgedRoot | undefined {
    try {
      return this.machine.judgeRoot(root);
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  }
}

function describe({ root, levels }: PageTableRoot): string {
  return `${hex(root)}, ${levels} levels`;
}
