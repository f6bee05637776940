import type { DamageReport, EvidenceReport, FileReport, KernelSummary, ProcessReport } from '../schema/common.js';
import { humanBytes, type Page, printable, type Row, wrap } from './page.js';

/** `kdump-compressed, header version 6, flattened; written by QEMU`. */
export function fileInWords(file: FileReport): string {
  const writers = {
    qemu: 'written by QEMU',
    kernel: 'written by the kernel',
    makedumpfile: 'written by makedumpfile',
    unknown: '',
  };
  const parts = [
    file.description,
    file.flattened ? 'flattened' : '',
    file.live || file.format === 'guest' ? '' : writers[file.writer],
    file.live ? '' : humanBytes(file.bytes),
    file.incomplete ? 'incomplete' : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** The process whose core it is, and what ended it; nothing for any other file. */
export function* processText(page: Page, { process }: FileReport): Generator<string> {
  if (process === null) return;
  const { death, stale } = process;
  yield* page.heading('Process', 'that ran the machine');
  const rows: (readonly [string, string])[] = [
    ['died', death === null ? 'no: it went on' : deathInWords(death)],
    ...(death?.messages ?? []).map((message) => ['said', message] as const),
    ['process', `${process.comm} (pid ${process.pid}), ${process.accelerator}`],
    ['command line', process.commandLine.join(' ')],
  ];
  if (stale !== null) rows.push(['registers', stale]);
  yield* page.pairs(rows.map(([name, value]) => [name, printable(value)] as const));
}

function deathInWords({ signal, detail, thread, where }: NonNullable<ProcessReport['death']>): string {
  return `${[signal, detail].filter((part) => part !== '').join(', ')}; thread ${thread} at ${where}`;
}

/** The kernels of the dump, when there is more than one to choose from. */
export function* kernelList(page: Page, kernels: readonly KernelSummary[]): Generator<string> {
  if (kernels.length < 2) return;
  yield* page.heading('Kernels in this dump', 'choose with --kernel INDEX');
  const roles = { crashed: 'crashed', capture: 'kdump capture kernel', running: 'running' };
  yield* page.table(
    kernels.map(({ index, role, release, buildId, chosen }) => ({
      cells: [chosen ? '*' : ' ', String(index), roles[role], release ?? 'unknown release', buildId ?? ''],
    })),
  );
}

/** Narrower pages have the methods on lines of their own. */
const ROOM_FOR_METHODS = 96;

/** In brief: each answer with the ways that led to it; answers that were not used say why not. */
export function* evidenceBrief(page: Page, evidence: readonly EvidenceReport[]): Generator<string> {
  if (evidence.length === 0) return;
  yield* page.heading('Evidence', 'how this was found; in full: exhume info');
  const rows = new Map<string, EvidenceReport[]>();
  for (const item of evidence) {
    const key = JSON.stringify([item.question, item.accepted, item.answer, item.accepted ? null : item.detail]);
    rows.set(key, [...(rows.get(key) ?? []), item]);
  }
  let before = '';
  const cells: Row[] = [];
  for (const [first, ...others] of rows.values()) {
    if (first === undefined) continue;
    const { question, answer, accepted, detail } = first;
    const methods = [first, ...others].map(({ method }) => method).join('; ');
    const why = accepted ? '' : ` (not used${detail === null ? '' : `: ${detail}`})`;
    const asked = question === before ? '' : question;
    const said = answer ?? 'no answer';
    const paint = accepted ? undefined : page.paint.dim;
    if (page.width >= ROOM_FOR_METHODS) cells.push({ cells: [asked, said, `${methods}${why}`], paint });
    else cells.push({ cells: [asked, said], paint }, { cells: ['', `  by ${methods}${why}`], paint: page.paint.dim });
    before = question;
  }
  yield* page.table(cells);
}

/** In full: every way that was tried, what it said, and what it was checked against; `*` marks what was used. */
export function* evidenceFull(page: Page, evidence: readonly EvidenceReport[]): Generator<string> {
  if (evidence.length === 0) return;
  yield* page.heading('Evidence', 'how this was found; * marks the answers that were used');
  let before = '';
  for (const { question, method, answer, accepted, detail } of evidence) {
    if (question !== before) yield `  ${printable(question)}`;
    before = question;
    const line = `  ${accepted ? '*' : ' '} ${printable(answer ?? 'no answer')}  ${page.paint.dim(printable(method))}`;
    yield `  ${line}`;
    if (detail === null) continue;
    for (const part of wrap(printable(detail), page.width - 10)) yield page.paint.dim(`          ${part}`);
  }
}

export function* damageList(page: Page, damage: readonly DamageReport[]): Generator<string> {
  if (damage.length === 0) return;
  yield* page.heading(page.paint.yellow('Damage'), 'this answer is a partial one');
  yield* page.table(damage.map(({ part, message, code }) => ({ cells: [part, `${message}  [${code}]`] })));
}
