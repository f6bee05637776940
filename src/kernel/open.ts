import { hex, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf, ExhumeError, isExhumeError } from '../bytes/errors.js';
import { LinearMemory } from '../machine/linear-memory.js';
import type { JudgedRoot, Machine, Mapping, PageTable } from '../machine/machine.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import { type Candidate, CandidateSet, findCandidates } from './candidates.js';
import { type Claim, EvidenceLog, settle } from './evidence.js';
import { readBanner, readIdentity, readVariable } from './identity.js';
import type { Kallsyms } from './kallsyms.js';
import { loadKallsymsFromVmcoreinfo, type SymbolCheck, scanForKallsyms } from './kallsyms-load.js';
import type { Evidence, Kernel, KernelRole } from './kernel.js';
import { loadBtf } from './load-btf.js';
import { withModules } from './module-symbols.js';
import { readModules } from './modules.js';
import { inOrder } from './order.js';
import { structLayouts } from './struct-layouts.js';
import { NO_SYMBOLS, type SymbolTable } from './symbols.js';
import { KernelTypes } from './types/kernel-types.js';
import { readModuleBtfs } from './types/module-btf.js';
import type { Vmcoreinfo } from './vmcoreinfo.js';
import { elfCoreHeaderAddress, vmcoreinfoOfElfCoreHeader, vmcoreinfoOfKernel } from './vmcoreinfo-search.js';
import { vmcoreinfoSymbols } from './vmcoreinfo-symbols.js';
import { PREF_ADDRESS_OFFSET, START_KERNEL_MAP } from './x86-64.js';

/** The kernels in a machine, and how they were looked for. */
export interface KernelSearch {
  /**
   * The one that matters first: the crashed or running one, then what earlier boots left, then a capture kernel.
   * Empty when none was found.
   */
  readonly kernels: readonly Kernel[];
  /** What was tried to find them; each kernel has evidence of its own besides. */
  readonly evidence: readonly Evidence[];
}

/**
 * Finds the Linux kernels in a machine, with no vmlinux and no knobs.
 * Never throws for what the dump holds: an empty list comes with the evidence of why.
 */
export function openKernels(machine: Machine): KernelSearch {
  const log = new EvidenceLog();
  const kernels = findCandidates(machine, log).map((candidate) => openKernel(machine, candidate));
  addCrashedKernelsOf(machine, kernels, log);
  const ordered = inOrder(kernels, log);
  return { kernels: ordered.map((kernel, index) => ({ ...kernel, index })), evidence: log.all };
}

/** The kernel of this index, or the first one. Throws EXH_NO_KERNEL, with the evidence in words. */
export function selectKernel(search: KernelSearch, index = 0): Kernel {
  const kernel = search.kernels[index];
  if (kernel !== undefined) return kernel;
  if (search.kernels.length > 0) {
    throw new ExhumeError('EXH_NO_KERNEL', `there is no kernel ${index}: the dump holds ${search.kernels.length}`, {
      hint: '`exhume report` lists the kernels of a dump',
    });
  }
  const tried = search.evidence.map(
    ({ question, method, detail }) => `${question} by ${method}: ${detail ?? 'nothing'}`,
  );
  throw new ExhumeError('EXH_NO_KERNEL', `no Linux kernel found: ${tried.join('; ')}`, {
    hint: 'the machine may have been in its firmware or boot loader, or the dump may lack kernel pages',
    evidence: search.evidence,
  });
}

/** A capture kernel knows where the crashed one's VMCOREINFO is, even when no CPU's registers lead there. */
function addCrashedKernelsOf(machine: Machine, kernels: Kernel[], log: EvidenceLog): void {
  if (kernels.length !== 1 || kernels[0]?.role !== 'capture') return;
  const address = elfCoreHeaderAddress(kernels[0].commandLine ?? '');
  if (address === undefined) return;
  const method = `elfcorehdr=${hex(address)} of the capture kernel`;
  try {
    const found = vmcoreinfoOfElfCoreHeader(machine.memory, address);
    if (found === undefined) {
      log.reject('VMCOREINFO', method, undefined, 'no ELF header with a VMCOREINFO note there');
      return;
    }
    const set = new CandidateSet(machine, log);
    set.addVmcoreinfo(found.vmcoreinfo, method);
    for (const candidate of set.candidates) {
      const kernel = openKernel(machine, candidate);
      kernels.push({ ...kernel, role: 'crashed' });
    }
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    log.reject('VMCOREINFO', method, undefined, error.message);
  }
}

function openKernel(machine: Machine, candidate: Candidate): Kernel {
  const log = new EvidenceLog();
  const damage: Damage[] = [];
  const { root } = candidate;
  const pageTable = machine.pageTable(root.root, root.levels);
  const memory = candidate.assumed ? imageMemory(machine, root, damage) : pageTable;
  const spans = candidate.assumed ? [wholeImage(root)] : imageSpans(pageTable, root);
  const { symbols, vmcoreinfo } = findSymbols(memory, spans, candidate, log, damage);
  const btf = once(() => {
    try {
      return loadBtf(memory, symbols);
    } catch (error) {
      damage.push(damageOf('type information (BTF)', error));
      return undefined;
    }
  });
  const layouts = structLayouts(vmcoreinfo, btf);
  const types = once(() => {
    const own = btf();
    return own && new KernelTypes(own, () => readModuleBtfs(memory, symbols, own, damage));
  });
  const source = { memory, symbols, layouts };
  const identity = readIdentity(source, damage);
  return {
    index: 0,
    role: roleOf(identity.commandLine, vmcoreinfo, identity.panicCpu),
    machine,
    release: vmcoreinfo?.osrelease ?? identity.release,
    banner: identity.banner,
    buildId: vmcoreinfo?.buildId ?? identity.buildId,
    commandLine: identity.commandLine,
    hostName: identity.hostName,
    vmcoreinfo,
    symbols: withModules(symbols, memory, () => readModules(source, damage), damage),
    layouts,
    types,
    memory,
    pageTable,
    physBase: settlePhysBase(machine, candidate, vmcoreinfo, source, log),
    kaslrOffset: settleKaslrOffset(root, vmcoreinfo, source, log),
    directMap: settleDirectMap(root, source, log),
    crashTime: vmcoreinfo?.crashTime,
    panicCpu: identity.panicCpu,
    stoppedTime: identity.stoppedTime,
    uptime: identity.uptime,
    evidence: log.all,
    damage,
  };
}

/** The kernel's image where VMCOREINFO says that it is, for a kernel whose page tables are not in the dump. */
function imageMemory(machine: Machine, { image }: JudgedRoot, damage: Damage[]): VirtualMemory {
  damage.push({
    code: 'EXH_NOT_MAPPED',
    part: 'page tables',
    message: "the kernel's page tables are not in the dump: only its image can be read, where VMCOREINFO says it lies",
  });
  return new LinearMemory(machine.memory, machine.container.littleEndian, [image]);
}

/** The spans of the image as the kernel mapped them. */
function imageSpans(table: PageTable, { image }: JudgedRoot): Mapping[] {
  return [...table.mappings(image.virtual, virtualAddress(image.virtual + BigInt(image.size - 1)))];
}

/** The image as one span, when nothing tells its parts. */
function wholeImage({ image }: JudgedRoot): Mapping {
  return { ...image, writable: true, executable: true, user: false };
}

/** Symbols and VMCOREINFO lead to each other: whichever was found first gives the other. */
function findSymbols(
  memory: VirtualMemory,
  spans: readonly Mapping[],
  { vmcoreinfo: known }: Candidate,
  log: EvidenceLog,
  damage: Damage[],
): { symbols: SymbolTable; vmcoreinfo: Vmcoreinfo | undefined } {
  if (known !== undefined) log.accept('VMCOREINFO', known.method, known.text.osrelease ?? 'no OSRELEASE');
  const check = symbolCheck(memory, spans, known?.text);
  let symbols: Kallsyms | undefined;
  if (known !== undefined) {
    const method = 'the addresses in VMCOREINFO';
    try {
      symbols = loadKallsymsFromVmcoreinfo(memory, known.text, check);
      if (symbols === undefined) log.reject('kernel symbols', method, undefined, 'it names none: a kernel before 6.0');
      else log.accept('kernel symbols', method, `${symbols.size} symbols, ${symbols.encoding}`);
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      log.reject('kernel symbols', method, undefined, error.message);
    }
  }
  if (symbols === undefined) {
    const method = 'scan of the kernel image for kallsyms';
    try {
      symbols = scanForKallsyms(memory, spans, check);
      log.accept('kernel symbols', method, `${symbols.size} symbols, ${symbols.encoding}`);
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      log.reject('kernel symbols', method, undefined, error.message);
      damage.push(damageOf('kernel symbols', error));
      if (known === undefined) return { symbols: NO_SYMBOLS, vmcoreinfo: undefined };
      const named = vmcoreinfoSymbols(known.text);
      log.accept('kernel symbols', 'the SYMBOL lines in VMCOREINFO', `${named.size} symbols`);
      return { symbols: named, vmcoreinfo: known.text };
    }
  }
  return { symbols, vmcoreinfo: known?.text ?? vmcoreinfoBySymbols(memory, symbols, log) };
}

function vmcoreinfoBySymbols(memory: VirtualMemory, symbols: SymbolTable, log: EvidenceLog): Vmcoreinfo | undefined {
  const method = "the kernel's own vmcoreinfo_data";
  try {
    const found = vmcoreinfoOfKernel(memory, symbols);
    if (found === undefined) log.reject('VMCOREINFO', method, undefined, 'the kernel keeps none');
    else log.accept('VMCOREINFO', method, found.osrelease ?? 'no OSRELEASE');
    return found;
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    log.reject('VMCOREINFO', method, undefined, error.message);
    return undefined;
  }
}

/** Decoded symbols are right when they put the kernel's first byte and its banner where memory has them. */
function symbolCheck(
  memory: VirtualMemory,
  spans: readonly Mapping[],
  vmcoreinfo: Vmcoreinfo | undefined,
): SymbolCheck {
  return (symbols) => {
    const stext = symbols.address('_stext') ?? symbols.address('_text');
    if (stext === undefined) return 'no symbol _stext';
    const told = vmcoreinfo?.symbol('_stext');
    if (told !== undefined && told !== stext) return `_stext would be ${hex(stext)}, VMCOREINFO says ${hex(told)}`;
    const text = spans.find((span) => span.executable && contains(span, stext));
    if (text === undefined) return `_stext would be ${hex(stext)}, where no code is mapped`;
    if (symbols.address('linux_banner') === undefined) return undefined;
    try {
      return readBanner({ memory, symbols }) === undefined ? 'linux_banner is not where it would be' : undefined;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      // Filtered dumps may lack it; a page that is not mapped refutes the encoding.
      return error.code === 'EXH_NOT_MAPPED' ? 'linux_banner would not be mapped' : undefined;
    }
  };
}

function contains(span: Mapping, address: bigint): boolean {
  return address >= span.virtual && address < span.virtual + BigInt(span.size);
}

/** Does a piece of work when first asked for its result, and keeps that. */
function once<T>(work: () => T): () => T {
  let done: { readonly result: T } | undefined;
  return () => {
    done ??= { result: work() };
    return done.result;
  };
}

function roleOf(
  commandLine: string | undefined,
  vmcoreinfo: Vmcoreinfo | undefined,
  panicCpu: number | undefined,
): KernelRole {
  if (commandLine !== undefined && elfCoreHeaderAddress(commandLine) !== undefined) return 'capture';
  return vmcoreinfo?.crashTime !== undefined || panicCpu !== undefined ? 'crashed' : 'running';
}

type Variables = { readonly memory: VirtualMemory; readonly symbols: SymbolTable };

/** The page tables are proof: the image was read through them. Everything else is compared with that. */
function settlePhysBase(
  machine: Machine,
  { root, assumed }: Candidate,
  vmcoreinfo: Vmcoreinfo | undefined,
  source: Variables,
  log: EvidenceLog,
): bigint | undefined {
  const claims: Claim[] = [
    { method: 'page tables: where the kernel image lies', value: assumed ? undefined : root.physBase },
    { method: 'NUMBER(phys_base) in VMCOREINFO', value: vmcoreinfo?.number('phys_base') },
    { method: "the kernel's variable phys_base", value: asSigned(readVariable(source, 'phys_base')) },
  ];
  const claimed = machine.container.claimedPhysBase;
  const misread = claimed !== undefined && claimed !== root.physBase && claimed === readAsHexadecimal(root.physBase);
  claims.push({
    method: "the dump's header",
    value: claimed,
    ...(misread && { detail: 'QEMU read the decimal number as hexadecimal' }),
  });
  return settle(log, 'phys_base', claims, hex);
}

/** What QEMU makes of `NUMBER(phys_base)`: it parses the decimal as hexadecimal (vmcoreinfo_update_phys_base(), dump/dump.c). */
function readAsHexadecimal(value: bigint): bigint {
  return value < 0n ? -BigInt(`0x${-value}`) : BigInt(`0x${value}`);
}

function settleKaslrOffset(
  root: JudgedRoot,
  vmcoreinfo: Vmcoreinfo | undefined,
  source: Variables,
  log: EvidenceLog,
): bigint | undefined {
  const text = source.symbols.address('_text') ?? source.symbols.address('_stext') ?? root.image.virtual;
  const preferred = readVariable(source, 'boot_params', PREF_ADDRESS_OFFSET);
  const linked = preferred === undefined ? undefined : START_KERNEL_MAP + preferred;
  return settle(
    log,
    'KASLR offset',
    [
      { method: 'KERNELOFFSET in VMCOREINFO', value: vmcoreinfo?.kernelOffset },
      {
        method: '_text against the link address in boot_params',
        value: linked === undefined || preferred === 0n ? undefined : text - linked,
        ...(linked === undefined && { detail: 'no symbol boot_params' }),
      },
    ],
    hex,
  );
}

/** The linear map: by the page tables, and by `page_offset_base` where KASLR can move it; Documentation/arch/x86/x86_64/mm.rst. */
function settleDirectMap(root: JudgedRoot, source: Variables, log: EvidenceLog): VirtualAddress | undefined {
  const claims: Claim[] = [
    { method: "the kernel's variable page_offset_base", value: readVariable(source, 'page_offset_base') },
    { method: 'page tables: where all memory is mapped', value: root.directMap },
  ];
  const base = settle(log, 'linear map', claims, hex);
  return base === undefined ? undefined : virtualAddress(base);
}

function asSigned(value: bigint | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt.asIntN(64, value);
}
