import { ExhumeError } from '../bytes/errors.js';
import { buildBt } from './bt.js';
import { buildDev } from './dev.js';
import { buildDis } from './dis.js';
import { buildFiles } from './files.js';
import { buildInfo } from './info.js';
import { buildIpcs } from './ipcs.js';
import { buildIrq } from './irq.js';
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
  { line: 'ps -l', ask: (subject) => buildPs(subject, { byLastRun: true }) },
  { line: 'ps -p', ask: (subject) => buildPs(subject, { relation: 'parents' }) },
  { line: 'ps -c', ask: (subject) => buildPs(subject, { relation: 'children' }) },
  { line: 'ps -g', ask: (subject) => buildPs(subject, { relation: 'threads' }) },
  { line: 'bt --all -t', ask: (subject) => buildBt(subject, { all: true, textAddresses: true }) },
  { line: 'bt -a', ask: (subject) => buildBt(subject, { active: true }) },
  { line: 'mod', ask: (subject) => buildMod(subject) },
  { line: 'runq -d', ask: (subject) => buildRunq(subject, { debug: true }) },
  { line: 'waitq log_wait', ask: (subject) => buildWaitq(subject, 'log_wait') },
  { line: 'timer', ask: (subject) => buildTimer(subject) },
  { line: 'timer -r', ask: (subject) => buildTimer(subject, { hrtimers: true }) },
  { line: 'irq -b -d', ask: (subject) => buildIrq(subject, { softirqs: true, gates: true }) },
  { line: 'mount', ask: (subject) => buildMount(subject) },
  { line: 'files', ask: (subject) => buildFiles(subject) },
  { line: 'vm', ask: (subject) => buildVm(subject) },
  { line: 'net', ask: (subject) => buildNet(subject) },
  { line: 'net -s', ask: (subject) => buildNet(subject, { sockets: true }) },
  { line: 'ipcs', ask: (subject) => buildIpcs(subject) },
  { line: 'swap', ask: (subject) => buildSwap(subject) },
  {
    line: 'kmem -i -s -f -z -V',
    ask: (subject) => buildKmem(subject, { use: true, slabs: true, zones: true, free: true, statistics: true }),
  },
  { line: 'dev', ask: (subject) => buildDev(subject) },
  { line: 'dev -p', ask: (subject) => buildDev(subject, true) },
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
