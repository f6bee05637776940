import { Command, CommanderError } from 'commander';
import { ExhumeError } from '../bytes/errors.js';
import { example } from './command.js';
import { defineBt } from './commands/bt.js';
import { defineCompletion } from './commands/completion.js';
import { defineConvert } from './commands/convert.js';
import { defineDev } from './commands/dev.js';
import { defineDevice } from './commands/device.js';
import { defineDis } from './commands/dis.js';
import { defineFiles } from './commands/files.js';
import { defineGuests } from './commands/guests.js';
import { defineInfo } from './commands/info.js';
import { defineIpcs } from './commands/ipcs.js';
import { defineIrq } from './commands/irq.js';
import { defineKho } from './commands/kho.js';
import { defineKmem } from './commands/kmem.js';
import { defineList, defineTree } from './commands/list.js';
import { defineLog } from './commands/log.js';
import { defineMach } from './commands/mach.js';
import { defineMod } from './commands/mod.js';
import { defineMount } from './commands/mount.js';
import { defineNet } from './commands/net.js';
import { defineP } from './commands/p.js';
import { definePs } from './commands/ps.js';
import { definePstore } from './commands/pstore.js';
import { defineRd, withLongWidths } from './commands/rd.js';
import { defineRegs } from './commands/regs.js';
import { defineReport } from './commands/report.js';
import { defineRunq } from './commands/runq.js';
import { defineSearch } from './commands/search.js';
import { addSharedOptions } from './commands/shared.js';
import { defineShell } from './commands/shell.js';
import { defineStruct, defineWhatis } from './commands/struct.js';
import { defineSwap } from './commands/swap.js';
import { defineSym } from './commands/sym.js';
import { defineSys } from './commands/sys.js';
import { defineTimer } from './commands/timer.js';
import { defineTrace } from './commands/trace.js';
import { defineVm } from './commands/vm.js';
import { defineVtop } from './commands/vtop.js';
import { defineWaitq } from './commands/waitq.js';
import { withCrashOptions } from './crash-options.js';
import { Session, type Surroundings } from './session.js';
import type { ExitStatus } from './status.js';
import { VERSION } from './version.js';

/** The `exhume` command: parsing, help, man page and completion all come from these definitions. */
export function createProgram(session: Session): Command {
  const program = new Command('exhume')
    .description(
      'Reads what a dead Linux kernel left behind: which kernel it was, why it died, what it was doing. ' +
        'No vmlinux, no debuginfo, no knobs.',
    )
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .configureOutput(session.commanderOutput)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .showSuggestionAfterError(true);
  addSharedOptions(program);
  defineReport(program, session);
  defineInfo(program, session);
  defineLog(program, session);
  defineRegs(program, session);
  defineSym(program, session);
  defineVtop(program, session);
  defineRd(program, session);
  defineStruct(program, session);
  defineWhatis(program, session);
  defineP(program, session);
  defineList(program, session);
  defineTree(program, session);
  defineDis(program, session);
  defineSearch(program, session);
  definePs(program, session);
  defineBt(program, session);
  defineRunq(program, session);
  defineMod(program, session);
  defineMount(program, session);
  defineFiles(program, session);
  defineKho(program, session);
  defineKmem(program, session);
  defineNet(program, session);
  defineVm(program, session);
  defineSwap(program, session);
  defineIpcs(program, session);
  defineIrq(program, session);
  defineTimer(program, session);
  defineTrace(program, session);
  defineSys(program, session);
  defineMach(program, session);
  defineConvert(program, session);
  defineGuests(program, session);
  definePstore(program, session);
  defineDevice(program, session);
  defineShell(program, session, { createProgram, runWords });
  defineDev(program, session);
  defineWaitq(program, session);
  defineCompletion(program, session);
  example(program, 'exhume vmcore', 'why did it die?');
  example(program, 'exhume log vmcore | less', 'the whole kernel log');
  example(program, 'exhume help rd', 'one command in full');
  return program;
}

/** Runs a command line (without the program's own name) and gives the exit status. Never throws. */
export async function runCommandLine(words: readonly string[], surroundings: Surroundings): Promise<ExitStatus> {
  const session = new Session(surroundings);
  await runWords(words, session);
  return session.status;
}

/** Runs a command line in a session, which then has the exit status. Never throws. */
async function runWords(words: readonly string[], session: Session): Promise<void> {
  const json = words.includes('--json');
  try {
    const program = createProgram(session);
    if (words.length === 0) {
      session.surroundings.stderr.write(program.helpInformation());
      throw new ExhumeError('EXH_USAGE', 'name a dump', { hint: 'exhume FILE' });
    }
    await program.parseAsync(withCrashOptions(withLongWidths(words)), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) session.fail(error, json);
    // Help, when it is asked for, and the version come here too.
    else if (!error.code.startsWith('commander.help') && error.exitCode !== 0) session.fail(usageError(error), json);
  }
}

function usageError(error: CommanderError): ExhumeError {
  const message = error.message.replace(/^error: /, '');
  return new ExhumeError('EXH_USAGE', message, { hint: 'exhume --help, or exhume help COMMAND' });
}
