import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { buildBt } from './bt.js';
import { buildDev } from './dev.js';
import { buildDis } from './dis.js';
import { buildFiles } from './files.js';
import { buildInfo } from './info.js';
import { buildIpcs } from './ipcs.js';
import { buildIrq } from './irq.js';
import { requireView } from './kernel-view.js';
import { buildKmem } from './kmem.js';
import { buildList } from './list.js';
import { buildLog } from './log.js';
import { buildMach } from './mach.js';
import { buildMod } from './mod.js';
import { buildMount } from './mount.js';
import { buildNet } from './net.js';
import { buildP } from './p.js';
import { buildPs } from './ps.js';
import { buildRd } from './rd.js';
import { buildRegs } from './regs.js';
import { buildReport } from './report.js';
import { buildRunq } from './runq.js';
import { buildStruct, buildWhatis } from './struct.js';
import type { Subject } from './subject.js';
import { buildSwap } from './swap.js';
import { buildSymbolList } from './sym.js';
import { buildSys } from './sys.js';
import { buildTimer } from './timer.js';
import { buildKernelTrace } from './trace.js';
import { buildTree } from './tree.js';
import { buildVm } from './vm.js';
import { buildVtop } from './vtop.js';
import { buildWaitq } from './waitq.js';

/** Something to ask of a dump: a command line without the file, and the answer's model. */
export interface Question {
  /** `bt --all -t`. */
  readonly line: string;
  /** Throws ExhumeError where this dump has no answer. */
  readonly ask: (subject: Subject) => unknown;
  /** It reads memory of processes: a dump without the data of users has no answer. */
  readonly ofProcesses?: boolean;
}

/**
 * All that can be asked of a dump without knowing what is in it, each command with everything that it reads;
 * of commands that need an operand, one that every kernel has.
 */
export const QUESTIONS: readonly Question[] = [
  { line: 'report', ask: (subject) => buildReport(subject, { bytes: 0, logLines: 20, wholeLog: true }) },
  { line: 'info --raw', ask: (subject) => buildInfo(subject, { bytes: 0, raw: true }) },
  { line: 'log', ask: (subject) => buildLog(subject).model },
  { line: 'regs', ask: (subject) => buildRegs(subject) },
  { line: 'sym --list', ask: (subject) => buildSymbolList(subject) },
  { line: 'ps -l -r', ask: (subject) => buildPs(subject, { byLastRun: true, limits: true }) },
  { line: 'ps -a', ask: (subject) => buildPs(subject, { programs: true }), ofProcesses: true },
  { line: 'ps -p', ask: (subject) => buildPs(subject, { relation: 'parents' }) },
  { line: 'ps -c', ask: (subject) => buildPs(subject, { relation: 'children' }) },
  { line: 'ps -g', ask: (subject) => buildPs(subject, { relation: 'threads' }) },
  { line: 'bt --all', ask: (subject) => buildBt(subject, { all: true }) },
  {
    // Of all tasks it would not fit into memory: `readSurroundings` reads for them what this does.
    line: 'bt -t -T -f -F -r',
    ask: (subject) => buildBt(subject, { active: true, allTextAddresses: true, words: true, raw: true }),
  },
  { line: 'bt -a', ask: (subject) => buildBt(subject, { active: true }) },
  { line: 'trace --stats', ask: (subject) => buildKernelTrace(subject) },
  { line: 'mod', ask: (subject) => buildMod(subject) },
  { line: 'runq -d', ask: (subject) => buildRunq(subject, { debug: true }) },
  { line: 'waitq log_wait', ask: (subject) => buildWaitq(subject, 'log_wait') },
  { line: 'timer', ask: (subject) => buildTimer(subject) },
  { line: 'timer -r', ask: (subject) => buildTimer(subject, { hrtimers: true }) },
  { line: 'irq -b -d', ask: (subject) => buildIrq(subject, { softirqs: true, gates: true }) },
  { line: 'mount', ask: (subject) => buildMount(subject) },
  { line: 'mount -n', ask: (subject) => ofNamespaces(subject, (task) => buildMount(subject, { task })) },
  { line: 'files', ask: (subject) => buildFiles(subject) },
  { line: 'vm', ask: (subject) => buildVm(subject) },
  { line: 'net', ask: (subject) => buildNet(subject) },
  { line: 'net -n', ask: (subject) => ofNamespaces(subject, (namespace) => buildNet(subject, { namespace })) },
  { line: 'net -s', ask: (subject) => buildNet(subject, { sockets: true }) },
  { line: 'ipcs', ask: (subject) => buildIpcs(subject) },
  { line: 'ipcs -n', ask: (subject) => ofNamespaces(subject, (namespace) => buildIpcs(subject, { namespace })) },
  { line: 'swap', ask: (subject) => buildSwap(subject) },
  {
    line: 'kmem -i -s -f -z -v -V',
    ask: (subject) =>
      buildKmem(subject, { use: true, slabs: true, zones: true, free: true, areas: true, statistics: true }),
  },
  { line: 'kmem init_task', ask: (subject) => buildKmem(subject, { addresses: ['init_task'] }) },
  { line: 'dev', ask: (subject) => buildDev(subject) },
  { line: 'dev -p -d', ask: (subject) => buildDev(subject, true) },
  { line: 'sys', ask: (subject) => buildSys(subject, []) },
  { line: 'mach', ask: (subject) => buildMach(subject) },
  { line: 'struct task_struct init_task', ask: (subject) => buildStruct(subject, 'task_struct', { at: 'init_task' }) },
  { line: 'struct rq runqueues:a', ask: (subject) => buildStruct(subject, 'rq', { at: 'runqueues:a' }) },
  { line: 'whatis panic', ask: (subject) => buildWhatis(subject, 'panic') },
  { line: 'p jiffies_64', ask: (subject) => buildP(subject, 'jiffies_64') },
  { line: 'list -H modules', ask: (subject) => buildList(subject, 'modules', { from: 'head' }) },
  {
    line: 'tree -t rbtree runqueues:0.cfs.tasks_timeline.rb_root',
    ask: (subject) => buildTree(subject, 'runqueues:0.cfs.tasks_timeline.rb_root', { type: 'rbtree' }),
  },
  { line: 'vtop linux_banner', ask: (subject) => buildVtop(subject, ['linux_banner']) },
  {
    line: 'rd -a linux_banner',
    ask: (subject) => buildRd(subject, 'linux_banner', { unit: 8, space: 'kernel', string: true }),
  },
  { line: 'dis schedule', ask: (subject) => buildDis(subject, 'schedule', () => []) },
];

/** An answer for one task of each set of namespaces. */
function ofNamespaces<T>(subject: Subject, ask: (task: string) => T): T[] {
  const view = requireView(subject);
  const tasks = new Map<bigint, bigint>();
  for (const { address } of readTasks(view).tasks) {
    const namespaces = view.struct('task_struct', address).pointer('nsproxy');
    if (namespaces !== 0n && !tasks.has(namespaces)) tasks.set(namespaces, address);
  }
  return [...tasks.values()].map((task) => ask(hex(task)));
}

/** Asks everything. A question without an answer is passed over: it would have none in another dump of the same memory. */
export function askEverything(subject: Subject): void {
  for (const { ask } of QUESTIONS) {
    try {
      ask(subject);
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
    }
  }
}
