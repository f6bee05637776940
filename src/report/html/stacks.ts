import { isAbsence } from '../absence.js';
import type { Absence } from '../schema/common.js';
import type { BlockedReport, CpuStackReport, FrameReport, StackReport } from '../schema/diagnosis.js';
import { counted, humanDuration } from '../text/page.js';
import { html, type Markup } from './markup.js';

/** A stack as a numbered list, its problems below it; long ones with their middle folded. */
export function stackMarkup(stack: StackReport | Absence): Markup {
  if (isAbsence(stack)) return absentMarkup(stack);
  const { frames, problems } = stack;
  if (frames.length === 0) return html`<p class="absent">no frames</p>${problems.map(problem)}`;
  const lines = frames.map(frameMarkup);
  const list = (items: readonly Markup[]): Markup => html`<ul class="frames">${items}</ul>`;
  const left = frames.length - HEAD - TAIL;
  if (left <= 2) return html`${list(lines)}${problems.map(problem)}`;
  return html`${list(lines.slice(0, HEAD))}<details><summary>${left} more frames</summary>${list(lines.slice(HEAD, -TAIL))}</details>
${list(lines.slice(-TAIL))}${problems.map(problem)}`;
}

const HEAD = 40;
const TAIL = 20;

export function absentMarkup({ absent, hint }: Absence): Markup {
  return html`<p class="absent">${absent}${hint === null ? '' : `; ${hint}`}</p>`;
}

function problem(text: string): Markup {
  return html`<p class="problem">${text}</p>`;
}

function frameMarkup({ kind, symbol, address, stack, unwound }: FrameReport, index: number): Markup {
  const [, name, offset, module] = /^(\S+?)(\+0x\S+)?(?: \[(.+)\])?$/.exec(symbol ?? '') ?? [];
  const words = [stack ?? '', kind === 'interrupted' ? 'interrupted here' : '', unwound ? '' : 'guessed'];
  const aside = words.filter((word) => word !== '').join(', ');
  const where =
    kind === 'user'
      ? html`<span class="off">user mode at ${address}</span>`
      : name === undefined
        ? html`${symbol ?? address}`
        : html`${name}<span class="off">${offset}</span>${module === undefined ? '' : html` <span class="module">[${module}]</span>`}`;
  // The first frame was only stopped by the dump; what an exception stopped is where something happened.
  const look = [unwound ? '' : 'guess', kind === 'interrupted' && index > 0 ? 'here' : '']
    .filter((word) => word !== '')
    .join(' ');
  return html`<li class="${look}" title="${address}"><span class="n">#${index}</span>${where}${aside === '' ? '' : html`<span class="aside">${aside}</span>`}</li>`;
}

/** One CPU, folded: which task it ran, and where it was. */
export function cpuStackMarkup({ cpu, task, stack }: CpuStackReport): Markup {
  const place = isAbsence(stack) ? stack.absent : innermost(stack);
  const who = task === null ? 'a task that cannot be told' : `${task.comm} (pid ${task.pid})`;
  return html`<details><summary>CPU ${cpu} <b>${who}</b> <span class="aside">${place}</span></summary>${stackMarkup(stack)}</details>`;
}

function innermost({ frames }: StackReport): string {
  const [first] = frames;
  if (first === undefined) return 'no frames';
  return first.kind === 'user' ? 'user mode' : (first.symbol ?? first.address);
}

/** One group of tasks that wait in the same place. */
export function blockedMarkup({ tasks, stack }: BlockedReport['groups'][number]): Markup {
  const [longest] = tasks;
  const time = longest === undefined ? '' : `${tasks.length > 1 ? 'up to ' : ''}${humanDuration(longest.seconds)}`;
  const names = [...new Set(tasks.map(({ comm }) => comm))].slice(0, 5).join(', ');
  const list = tasks.map(({ comm, pid, seconds }) => html`<li>${comm} (pid ${pid}), ${humanDuration(seconds)}</li>`);
  return html`<details open><summary><b>${counted(tasks.length, 'task')}</b> ${names} <span class="aside">${time}</span></summary>${stackMarkup(stack)}
${tasks.length > 1 ? html`<details><summary>who</summary><ul>${list}</ul></details>` : ''}</details>`;
}
