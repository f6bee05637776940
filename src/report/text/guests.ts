import { isAbsence } from '../absence.js';
import type { GuestCpuReport, GuestReport, GuestsReport } from '../schema/guests.js';
import { counted, humanBytes, Page, printable, type TextOptions } from './page.js';
import { evidenceBrief } from './parts.js';

const PAGE_BYTES = 4096;

/** The machines inside: one after the other, or how they were looked for where there are none. */
export function* guestsText(report: GuestsReport, verbose: boolean, options: TextOptions): Generator<string> {
  const page = new Page(options);
  if (report.guests.length === 0) yield 'no guests';
  for (const [i, guest] of report.guests.entries()) {
    if (i > 0) yield '';
    yield* guestText(page, guest, verbose);
  }
  if (report.guests.length === 0 || verbose) yield* evidenceBrief(page, report.evidence);
}

function* guestText(page: Page, guest: GuestReport, verbose: boolean): Generator<string> {
  const { index, name, process, memoryBytes, cpus, kernel, refused, pages } = guest;
  const size = `${counted(cpus.length, 'CPU')}, ${humanBytes(memoryBytes)}`;
  yield `${page.paint.bold(`${index}  ${printable(name)}`)}  ${page.paint.dim(size)}`;
  const rows: [string, string | null][] = [
    ['refused', refused === null ? null : `${refused.absent}${refused.hint === null ? '' : `; ${refused.hint}`}`],
    ['kernel', refused === null ? kernelInWords(kernel) : null],
    [
      'process',
      process === null ? null : [process.comm, `pid ${process.pid}`, process.uuid].filter((word) => word).join(', '),
    ],
    ...cpus.map((cpu): [string, string] => [`CPU ${cpu.index}`, cpuInWords(cpu, verbose)]),
    ['pages', pages === null ? null : pagesInWords(pages)],
    ['agreement', pages === null ? null : agreement(pages.nested)],
    ['command', !verbose || !process?.commandLine.length ? null : process.commandLine.join(' ')],
    ['found by', verbose ? guest.how : null],
  ];
  yield* page.pairs(rows.flatMap(([label, value]): [string, string][] => (value === null ? [] : [[label, value]])));
  if (verbose) yield* evidenceBrief(page, guest.evidence);
}

function kernelInWords(kernel: GuestReport['kernel']): string {
  if (isAbsence(kernel)) return kernel.absent;
  return `Linux ${kernel.release ?? '?'}, ${ROLES[kernel.role]}`;
}

const ROLES = {
  crashed: 'it had crashed',
  capture: 'a capture kernel, saving the dump of one that crashed',
  running: 'it was running',
} as const;

function cpuInWords({ state, rip, symbol, source, stale, nested }: GuestCpuReport, verbose: boolean): string {
  const at = rip === null ? '' : ` at ${symbol ?? rip}`;
  const inner = nested === null ? '' : `; its own guest ran, at ${nested}`;
  const old = stale === null ? '' : `; ${stale}`;
  return `${state}${at}${inner}${old}${verbose || rip === null ? `; ${source}` : ''}`;
}

function pagesInWords(pages: NonNullable<GuestReport['pages']>): string {
  const bytes = (count: number) => humanBytes(count * PAGE_BYTES);
  const parts = [
    `${bytes(pages.present)} can be read`,
    pages.untouched === 0 ? '' : `${bytes(pages.untouched)} of it never touched`,
    pages.swapped === 0 ? '' : `${bytes(pages.swapped)} of it from swap`,
    pages.excluded === 0 ? '' : `${bytes(pages.excluded)} left out of the host's dump`,
    pages.lost === 0 ? '' : `${bytes(pages.lost)} lost`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function agreement(nested: NonNullable<GuestReport['pages']>['nested']): string | null {
  if (nested === null) return null;
  const { kind, same, different, nestedOnly, slotsOnly } = nested;
  const counts = [
    `${counted(same, 'page')} where the memory slots have them`,
    `${different} elsewhere`,
    `${nestedOnly} that the slots lack`,
  ];
  return `${kind}: ${counts.join(', ')}; ${slotsOnly} only in the slots`;
}
