import type { TSchema } from 'typebox';
import { KhoBuildSchema } from '../../handover/build/description.js';
import { BtSchema } from './bt.js';
import { ControlSchema } from './control.js';
import { ConvertSchema } from './convert.js';
import { RegsSchema } from './cpu.js';
import { DevSchema } from './dev.js';
import { SignatureDocumentSchema } from './diagnosis.js';
import { DisSchema } from './dis.js';
import { ErrorSchema } from './error.js';
import { FilesSchema } from './files.js';
import { GuestsSchema } from './guests.js';
import { InfoSchema } from './info.js';
import { IpcsSchema } from './ipcs.js';
import { IrqSchema } from './irq.js';
import { KhoSchema } from './kho.js';
import { KhoBuiltSchema } from './kho-built.js';
import { KhoCheckSchema } from './kho-check.js';
import { KhoExtractSchema } from './kho-extract.js';
import { KmemSchema } from './kmem.js';
import { LogSchema } from './log.js';
import { MachSchema } from './mach.js';
import { ModSchema } from './mod.js';
import { MountsSchema } from './mount.js';
import { NetSchema } from './net.js';
import { PsSchema } from './ps.js';
import { PstoreCatSchema, PstoreChangeSchema, PstoreListSchema, PstoreRecordSchema } from './pstore.js';
import { RdSchema } from './rd.js';
import { ReportSchema } from './report.js';
import { RunqSchema } from './runq.js';
import { SearchSchema } from './search.js';
import { SolveSchema } from './solve.js';
import { SwapSchema } from './swap.js';
import { SymSchema } from './sym.js';
import { SysSchema } from './sys.js';
import { TimerReportSchema } from './timer.js';
import { TraceSchema } from './trace.js';
import { ListSchema, PSchema, StructSchema, TreeSchema } from './types.js';
import { VmSchema } from './vm.js';
import { VtopSchema } from './vtop.js';
import { WaitqSchema } from './waitq.js';

/** Every published schema, by the name of its file in schemas/. */
export const SCHEMAS: Readonly<Record<string, TSchema>> = {
  report: ReportSchema,
  signature: SignatureDocumentSchema,
  info: InfoSchema,
  log: LogSchema,
  regs: RegsSchema,
  sym: SymSchema,
  vtop: VtopSchema,
  rd: RdSchema,
  ps: PsSchema,
  runq: RunqSchema,
  struct: StructSchema,
  dis: DisSchema,
  search: SearchSchema,
  p: PSchema,
  list: ListSchema,
  tree: TreeSchema,
  mod: ModSchema,
  mount: MountsSchema,
  files: FilesSchema,
  bt: BtSchema,
  kho: KhoSchema,
  'kho-check': KhoCheckSchema,
  'kho-build': KhoBuildSchema,
  'kho-built': KhoBuiltSchema,
  'kho-extract': KhoExtractSchema,
  kmem: KmemSchema,
  convert: ConvertSchema,
  guests: GuestsSchema,
  control: ControlSchema,
  solve: SolveSchema,
  net: NetSchema,
  vm: VmSchema,
  swap: SwapSchema,
  ipcs: IpcsSchema,
  irq: IrqSchema,
  timer: TimerReportSchema,
  trace: TraceSchema,
  sys: SysSchema,
  mach: MachSchema,
  dev: DevSchema,
  waitq: WaitqSchema,
  'pstore-ls': PstoreListSchema,
  'pstore-cat': PstoreCatSchema,
  'pstore-change': PstoreChangeSchema,
  'pstore-record': PstoreRecordSchema,
  error: ErrorSchema,
};

/** A schema as it is published: plain JSON Schema, draft 2020-12. */
export function publishedSchema(schema: TSchema): string {
  return `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...schema }, null, 2)}\n`;
}
