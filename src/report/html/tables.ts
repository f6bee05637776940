import { isAbsence } from '../absence.js';
import type { CpuReport } from '../schema/cpu.js';
import type { ModuleRow, TaskRow } from '../schema/diagnosis.js';
import type { LastEventReport } from '../schema/last-moments.js';
import { cpuPlace } from '../text/cpu.js';
import { digits16, humanBytes, humanDuration } from '../text/page.js';
import { type Content, html, type Markup } from './markup.js';
import { absentMarkup } from './stacks.js';

interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => Content;
  /** What it is sorted by, when that is not what it shows; makes the column one of numbers. */
  readonly value?: (row: T) => number | null;
}

/** A table whose columns sort when their titles are pressed; columns with nothing in them are left out. */
function table<T>(rows: readonly T[], all: readonly Column<T>[], look: (row: T) => string): Markup {
  const columns = all.filter(({ cell }) => rows.some((row) => cell(row) !== ''));
  const head = columns.map(
    ({ title, value }) =>
      html`<th scope="col" class="${value === undefined ? '' : 'num'}"><button type="button">${title}</button></th>`,
  );
  const body = rows.map(
    (row) => html`<tr class="${look(row)}">${columns.map(({ cell, value }) =>
      value === undefined
        ? html`<td>${cell(row)}</td>`
        : html`<td class="num" data-value="${value(row) ?? ''}">${cell(row)}</td>`,
    )}</tr>
`,
  );
  return html`<div class="scroll" tabindex="0"><table class="sorts"><thead><tr>${head}</tr></thead><tbody>
${body}</tbody></table></div>`;
}

/** Events of the end of the trace. */
export function eventsTable(events: readonly LastEventReport[]): Markup {
  return table<LastEventReport>(
    events,
    [
      {
        title: 'Seconds before',
        cell: ({ before, time }) => before?.toFixed(6) ?? time,
        value: ({ before }) => before,
      },
      { title: 'CPU', cell: ({ cpu }) => cpu, value: ({ cpu }) => cpu },
      { title: 'Task', cell: ({ comm, pid }) => `${comm} (${pid})` },
      { title: 'Event', cell: ({ text }) => text },
    ],
    () => '',
  );
}

export function tasksTable(tasks: readonly TaskRow[]): Markup {
  return table<TaskRow>(
    tasks,
    [
      { title: 'PID', cell: ({ pid }) => pid, value: ({ pid }) => pid },
      { title: 'Name', cell: ({ comm, kernelThread }) => (kernelThread ? `[${comm}]` : comm) },
      { title: 'State', cell: ({ state, active }) => (active ? `on CPU` : state.words) },
      { title: 'CPU', cell: ({ cpu }) => cpu, value: ({ cpu }) => cpu },
      {
        title: 'Memory',
        cell: ({ resident }) => (resident === null || resident === 0 ? '' : humanBytes(resident)),
        value: ({ resident }) => resident,
      },
      {
        title: 'In D for',
        cell: ({ blocked }) => (blocked === null ? '' : humanDuration(blocked)),
        value: ({ blocked }) => blocked,
      },
      { title: 'Group', cell: ({ tgid, pid }) => (tgid === pid ? '' : tgid), value: ({ tgid }) => tgid },
    ],
    ({ active, state, kernelThread }) => (active || state.letter === 'D' ? 'strong' : kernelThread ? 'dim' : ''),
  );
}

export function modulesTable(modules: readonly ModuleRow[]): Markup {
  return table<ModuleRow>(
    modules,
    [
      { title: 'Name', cell: ({ name }) => name },
      { title: 'Taints', cell: ({ taints }) => taints },
      { title: 'Size', cell: ({ size }) => humanBytes(size), value: ({ size }) => size },
      { title: 'State', cell: ({ state }) => state ?? '' },
      { title: 'Used by', cell: ({ usedBy }) => usedBy.join(' ') },
      { title: '', cell: ({ onStack }) => (onStack ? 'on the stack' : '') },
    ],
    ({ onStack, taints }) => (onStack ? 'strong' : taints === '' ? 'dim' : ''),
  );
}

/** The registers of a CPU, folded unless it died there. */
export function cpuMarkup(cpu: CpuReport): Markup {
  const title = html`CPU ${cpu.index} <span class="aside">${cpuPlace(cpu)}${cpu.crashed ? ', died here' : ''}</span>`;
  if (isAbsence(cpu.registers))
    return html`<details><summary>${title}</summary>${absentMarkup(cpu.registers)}</details>`;
  const cells = [...cpu.registers, ...cpu.control].map(
    ({ name, value, symbol }) => html`<div title="${symbol ?? ''}"><dt>${name}</dt><dd>${digits16(value)}</dd></div>`,
  );
  const pointing = cpu.registers.filter(({ symbol }) => symbol !== null);
  const names = pointing.map(({ name, symbol }) => html`<div><dt>${name}</dt><dd>${symbol}</dd></div>`);
  return html`<details${cpu.crashed ? html` open` : ''}><summary>${title}</summary><dl class="registers mono">${cells}</dl>
${names.length === 0 ? '' : html`<dl class="registers mono">${names}</dl>`}</details>`;
}
