import type { Trace, TraceBuffer } from '../model.js';
import type { TextSettings } from './settings.js';

/** The head of the `trace` file: the tracer, how many events, what the columns are (`s_show` of kernel/trace/trace.c). */
export function headerText(trace: Trace, buffer: TraceBuffer, settings: TextSettings): string {
  const lines = [`# tracer: ${buffer.tracer}`, '#'];
  if (!settings.context) return lines.map((line) => `${line}\n`).join('');
  if (buffer.tracer === 'function_graph') lines.push(...graphHeader(settings));
  else if (settings.latency) lines.push(...(settings.verbose ? [] : LATENCY));
  else if (!settings.verbose) lines.push(...events(trace, buffer), ...columns(settings));
  return lines.map((line) => `${line}\n`).join('');
}

function events({ onlineCpus }: Trace, { cpus }: TraceBuffer): string[] {
  let entries = 0;
  let written = 0;
  for (const { statistics } of cpus) {
    entries += statistics?.entries ?? 0;
    written += (statistics?.entries ?? 0) + (statistics?.overrun ?? 0);
  }
  return [`# entries-in-buffer/entries-written: ${entries}/${written}   #P:${onlineCpus ?? cpus.length}`, '#'];
}

function columns({ irqInfo, threadGroups }: TextSettings): string[] {
  if (!irqInfo) {
    const group = threadGroups ? '   TGID   ' : '';
    const bar = threadGroups ? '     |    ' : '';
    return [
      `#           TASK-PID    ${group} CPU#     TIMESTAMP  FUNCTION`,
      `#              | |      ${bar}   |         |         |`,
    ];
  }
  const width = threadGroups ? 12 : 2;
  const pad = ' '.repeat(width);
  return [
    `#                            ${pad}  _-----=> irqs-off/BH-disabled`,
    `#                            ${pad} / _----=> need-resched`,
    `#                            ${pad}| / _---=> hardirq/softirq`,
    `#                            ${pad}|| / _--=> preempt-depth`,
    `#                            ${pad}||| / _-=> migrate-disable`,
    `#                            ${pad}|||| /     delay`,
    `#           TASK-PID  ${'     TGID   '.slice(0, width)} CPU#  |||||  TIMESTAMP  FUNCTION`,
    `#              | |    ${'       |    '.slice(0, width)}   |   |||||     |         |`,
  ];
}

const LATENCY = [
  '#                    _------=> CPU#            ',
  '#                   / _-----=> irqs-off/BH-disabled',
  '#                  | / _----=> need-resched    ',
  '#                  || / _---=> hardirq/softirq ',
  '#                  ||| / _--=> preempt-depth   ',
  '#                  |||| / _-=> migrate-disable ',
  '#                  ||||| /     delay           ',
  '#  cmd     pid     |||||| time  |   caller     ',
  '#     \\   /        ||||||  \\    |    /       ',
];

function graphHeader({ latency, graph }: TextSettings): string[] {
  const part = (wanted: boolean, text: string): string => (wanted ? text : '');
  const row = (time: string, cpu: string, task: string, duration: string, rest: string): string =>
    `#${part(graph.absoluteTime, time)}${part(graph.cpu, cpu)}${part(graph.process, task)}` +
    `${part(latency, '||||   ')}${part(graph.duration, duration)}${rest}`;
  const rows = [
    row('     TIME       ', ' CPU', '  TASK/PID       ', '  DURATION   ', '               FUNCTION CALLS'),
    row('      |         ', ' |  ', '   |    |        ', '   |   |      ', '               |   |   |   |'),
  ];
  if (!latency) return rows;
  const pad = ' '.repeat((graph.absoluteTime ? 16 : 0) + (graph.cpu ? 4 : 0) + (graph.process ? 17 : 0));
  return [
    `#${pad}  _-----=> irqs-off        `,
    `#${pad} / _----=> need-resched    `,
    `#${pad}| / _---=> hardirq/softirq `,
    `#${pad}|| / _--=> preempt-depth   `,
    `#${pad}||| /                      `,
    ...rows,
  ];
}
