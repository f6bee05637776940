/**
 * exhume as a library, for Node and browsers: nothing here imports from `node:`. `exhume/node` opens files by name.
 *
 *     const container = openDump([new MemorySource(bytes, 'vmcore')], { openers: OPENERS });
 *     const report = buildReport(openSubject(container), { bytes: bytes.length, logLines: 20 });
 *     console.log(report.headline);
 *
 * @module
 */

export {
  hex,
  type Pfn,
  type PhysicalAddress,
  pfn,
  physicalAddress,
  type VirtualAddress,
  virtualAddress,
} from './bytes/address.js';
export { type ByteSource, MemorySource, SliceSource } from './bytes/byte-source.js';
export {
  type Damage,
  ERROR_CODES,
  type ErrorCode,
  type ErrorData,
  ExhumeError,
  isExhumeError,
} from './bytes/errors.js';
export type { DecodedField, DecodedStruct, FieldValue } from './bytes/struct-table.js';
export type { Container, ContainerFormat, HeaderFact, Note, VirtualSpan } from './dump/container.js';
export { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from './dump/memory.js';
export { type Opener, type OpenOptions, openDump } from './dump/open.js';
export type { RawRange } from './dump/raw.js';
export { OPENERS } from './hypervisor/openers.js';
export type { Evidence, Kernel, KernelRole } from './kernel/kernel.js';
export type { Layouts } from './kernel/layouts.js';
export { type CrashEvent, type CrashText, findCrash } from './kernel/log/crash-text.js';
export {
  formatLog,
  type LogFormatOptions,
  type LogSelection,
  parseLevels,
  selectRecords,
} from './kernel/log/format.js';
export { readKernelLog } from './kernel/log/read.js';
export type { KernelLog, LogRecord } from './kernel/log/record.js';
export { type KernelSearch, openKernels, selectKernel } from './kernel/open.js';
export { type KernelSymbol, type SymbolTable, symbolize } from './kernel/symbols.js';
export { parseVmcoreinfo, type Vmcoreinfo } from './kernel/vmcoreinfo.js';
export type { ArchitectureName, Cpu, CpuMode, Machine, Mapping, PageTable, Walk, WalkStep } from './machine/machine.js';
export { openMachine } from './machine/open.js';
export { VirtualMemory } from './machine/virtual-memory.js';
export { parseAddress } from './report/address.js';
export { buildInfo, type InfoOptions } from './report/info.js';
export { buildLog, type LogAnswer, type LogOptions } from './report/log.js';
export { buildRd, type RdOptions } from './report/rd.js';
export { buildRegs } from './report/regs.js';
export { buildReport, type ReportOptions } from './report/report.js';
export type { Absence, DamageReport, EvidenceReport, FileReport, KernelSummary } from './report/schema/common.js';
export type { CpuReport, RegisterReport, RegsReport } from './report/schema/cpu.js';
export type { ErrorReport } from './report/schema/error.js';
export type { InfoReport } from './report/schema/info.js';
export type { LogRecordReport, LogReport } from './report/schema/log.js';
export type { RdReport } from './report/schema/rd.js';
export type { CrashEventReport, CrashReport, IdentityReport, MachineReport, Report } from './report/schema/report.js';
export type { SymbolReport, SymReport } from './report/schema/sym.js';
export type { VtopReport } from './report/schema/vtop.js';
export { openSubject, type Subject } from './report/subject.js';
export { buildSym, buildSymbolList } from './report/sym.js';
export { infoText } from './report/text/info.js';
export type { TextOptions } from './report/text/page.js';
export { rdText } from './report/text/rd.js';
export { regsText } from './report/text/regs.js';
export { reportText } from './report/text/report.js';
export { symText } from './report/text/sym.js';
export { vtopText } from './report/text/vtop.js';
export { buildVtop, type VtopOptions } from './report/vtop.js';
