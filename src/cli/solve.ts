import { vmcsinfoBytes } from '../hypervisor/control/vmcsinfo.js';
import { buildSolve } from '../report/solve.js';
import { solveText } from '../report/text/solve.js';
import type { SolvedForm } from './commands/guests.js';
import type { Session, SharedOptions } from './session.js';

/** `exhume guests --solve`: the layout of VMCSs that the dump itself tells, in the form that is wanted. */
export async function runSolve(
  session: Session,
  files: readonly string[],
  form: SolvedForm,
  options: SharedOptions,
): Promise<void> {
  if (form === 'note') {
    await session.file(options, async () => {
      const { subject } = await session.open(files, options);
      return vmcsinfoBytes(buildSolve(subject).vmcsinfo);
    });
    return;
  }
  await session.answer(options, async () => {
    const { subject } = await session.open(files, options);
    const model = buildSolve(subject);
    if (form === 'table') return { model, lines: (text) => solveText(model, text) };
    return { model, lines: () => (form === 'row' ? model.row : model.vmcsinfo).trimEnd().split('\n') };
  });
}
