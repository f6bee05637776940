import { sha256 } from '../../kernel/diagnosis/sha256.js';
import { isAbsence } from '../absence.js';
import type { Absence } from '../schema/common.js';
import type { Report } from '../schema/report.js';
import { sentence, surroundingsPairs } from '../text/diagnosis.js';
import { humanBytes } from '../text/page.js';
import { fileInWords } from '../text/parts.js';
import { kernelPairs, whenOf, whereParts } from '../text/report.js';
import { type Content, escaped, html, type Markup } from './markup.js';
import { SCRIPT } from './script.js';
import { absentMarkup, blockedMarkup, cpuStackMarkup, stackMarkup } from './stacks.js';
import { STYLE } from './style.js';
import { cpuMarkup, eventsTable, modulesTable, tasksTable } from './tables.js';

/** A section of the page, and its entry in the list of sections. */
interface Part {
  readonly id: string;
  readonly title: string;
  readonly aside?: string;
  readonly look?: string;
  readonly body: Content;
}

/**
 * The report as one page that holds everything: it loads nothing, and its policy forbids it to. Text of the dump is
 * escaped wherever it stands. It can be read without the script.
 */
export function* reportPage(report: Report): Generator<string> {
  const parts = [...partsOf(report)];
  yield '<!doctype html>';
  yield '<html lang="en"><head><meta charset="utf-8">';
  yield `<meta http-equiv="Content-Security-Policy" content="${policy()}">`;
  yield '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">';
  yield `<title>${escaped(report.headline)}</title>`;
  yield `<style>${STYLE}</style></head><body>`;
  yield header(report).text;
  yield html`<nav aria-label="Sections"><ul>${parts.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav><main>`
    .text;
  for (const { id, title, aside, look, body } of parts) {
    const small = aside === undefined ? '' : html` <small>${aside}</small>`;
    yield html`<section id="${id}" class="${look}"><h2>${title}${small}</h2>${body}</section>`.text;
  }
  yield `</main><footer>${escaped(`exhume report of ${report.file.names.join(', ')}`)}<span class="screen">. This page holds everything that it shows; nothing is loaded from anywhere.</span></footer>`;
  yield `<script>${SCRIPT}</script></body></html>`;
}

/** Nothing from the network, and no script or style but the page's own. */
function policy(): string {
  const hash = (text: string): string => `'sha256-${base64(sha256(text))}'`;
  return `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`;
}

function base64(hexadecimal: string): string {
  return btoa(hexadecimal.replace(/../g, (digits) => String.fromCharCode(Number.parseInt(digits, 16))));
}

function header({ headline, crash, damage, complete }: Report): Markup {
  const facts = isAbsence(crash) ? [] : [...whereParts(crash), whenOf(crash)].filter((part) => part !== '');
  const partial = complete
    ? ''
    : html`<li class="bad">${damage.length > 0 ? 'damaged: a partial answer' : 'a partial answer'}</li>`;
  return html`<header class="top"><p class="kicker">exhume report</p><h1>${headline}</h1>
<ul class="chips">${facts.map((fact) => html`<li>${fact}</li>`)}${partial}</ul></header>`;
}

function* partsOf(report: Report): Generator<Part> {
  yield* damagePart(report);
  yield* causePart(report);
  yield* stackParts(report);
  yield* traceParts(report);
  yield factsPart(report);
  yield* eventsPart(report);
  yield* listPart('tasks', 'Tasks', report.tasks, ({ list, total }) =>
    list.length === 0
      ? undefined
      : { aside: list.length < total ? `${list.length} of ${total}` : String(total), body: tasksTable(list) },
  );
  yield* listPart('modules', 'Modules', report.modules, (rows) =>
    rows.length === 0 ? undefined : { aside: String(rows.length), body: modulesTable(rows) },
  );
  yield* listPart('registers', 'Registers', report.cpus, (cpus) =>
    cpus.length === 0
      ? undefined
      : {
          aside: 'as the dump recorded them',
          body: [...cpus].sort((a, b) => Number(b.crashed) - Number(a.crashed)).map(cpuMarkup),
        },
  );
  yield* printedPart(report);
  yield* listPart('log', 'Log', report.log, (log) => ({ aside: log.source, body: logMarkup(log) }));
  yield* evidencePart(report);
}

/** A section, or why there is none; nothing where the kernel itself is missing. */
function* listPart<T>(
  id: string,
  title: string,
  section: T | Absence,
  render: (section: T) => { readonly aside: string; readonly body: Content } | undefined,
): Generator<Part> {
  if (isAbsence(section)) {
    if (section.code !== 'EXH_NO_KERNEL' && section.code !== 'EXH_UNKNOWN_ARCHITECTURE')
      yield { id, title, body: absentMarkup(section) };
    return;
  }
  const rendered = render(section);
  if (rendered !== undefined) yield { id, title, ...rendered };
}

function* damagePart({ damage }: Report): Generator<Part> {
  if (damage.length === 0) return;
  const rows = damage.map(
    ({ part, message, code }) =>
      html`<tr><td>${part}</td><td class="text">${message}</td><td class="mono">${code}</td></tr>`,
  );
  yield {
    id: 'damage',
    title: 'Damage',
    aside: 'this answer is a partial one',
    look: 'damage',
    body: html`<div class="scroll"><table><tbody>${rows}</tbody></table></div>`,
  };
}

function* causePart({ cause, signature }: Report): Generator<Part> {
  if (isAbsence(cause)) return;
  const said = cause.evidence.map(
    ({ source, text, agrees }) =>
      html`<dt>${source}</dt><dd class="${agrees ? '' : 'against'}">${agrees ? '' : 'but: '}${text}</dd>`,
  );
  yield {
    id: 'cause',
    title: 'Cause',
    look: 'cause',
    body: html`<p class="sentence">${sentence(cause.text)}</p><dl class="said">${said}</dl>${signatureMarkup(signature)}`,
  };
}

function signatureMarkup(signature: Report['signature']): Content {
  if (isAbsence(signature)) return signature.code === null ? '' : absentMarkup(signature);
  const kept = [...signature.frames, ...(signature.message === null ? [] : [signature.message])];
  const rows = [
    ...kept.map((frame) => html`<tr class="strong"><td class="mono">${frame}</td><td class="text">counts</td></tr>`),
    ...signature.dropped.map(
      ({ frame, why }) => html`<tr class="dim"><td class="mono">${frame}</td><td class="text">${why}</td></tr>`,
    ),
  ];
  return html`<div class="signature"><span class="id mono">${signature.id}</span><p>${signature.title}</p>
<details class="quiet"><summary class="aside">how it was derived</summary><div class="scroll"><table><tbody><tr class="strong"><td class="mono">${signature.group}</td><td class="text">the kind of crash</td></tr>${rows}</tbody></table></div></details></div>`;
}

function* stackParts({ stacks, blocked }: Report): Generator<Part> {
  if (isAbsence(stacks)) {
    yield* listPart('stack', 'Stack', stacks, () => undefined);
  } else {
    const [first, ...others] = stacks;
    if (first?.crashed) {
      const task = first.task === null ? '' : `${first.task.comm} (pid ${first.task.pid}), `;
      yield {
        id: 'stack',
        title: 'Stack',
        aside: `${task}CPU ${first.cpu}, where it died`,
        body: html`<details open><summary class="aside">innermost first</summary>${stackMarkup(first.stack)}</details>`,
      };
    }
    const rest = first?.crashed ? others : stacks;
    const title = first?.crashed ? 'Other CPUs' : 'CPUs';
    if (rest.length > 0) yield { id: 'cpus', title, aside: 'what they were running', body: rest.map(cpuStackMarkup) };
  }
  if (isAbsence(blocked) || blocked.groups.length === 0) return;
  yield {
    id: 'blocked',
    title: 'Blocked',
    aside: `in D state for over ${blocked.seconds} s, by what they wait in`,
    body: [
      blocked.groups.map(blockedMarkup),
      blocked.further === 0 ? '' : html`<p class="absent">${blocked.further} more whose stacks were not looked at</p>`,
    ],
  };
}

function* traceParts({ trace }: Report): Generator<Part> {
  if (trace === null || isAbsence(trace)) return;
  const { buffer, entries, last, task } = trace;
  yield {
    id: 'trace',
    title: 'Trace',
    aside: `the last events of each CPU, of ${entries}${buffer === 'top' ? '' : ` in ${buffer}`}`,
    body: eventsTable(last),
  };
  if (task === null || task.events.length === 0) return;
  yield {
    id: 'trace-task',
    title: 'Trace of the task',
    aside: `what task ${task.pid} did last`,
    body: eventsTable(task.events),
  };
}

function factsPart(report: Report): Part {
  const { kernel, machine, memory, file } = report;
  const pairs = [
    ...kernelPairs(kernel, machine),
    ['file', `${file.names.join(', ')}: ${fileInWords(file)}`] as const,
    ...(isAbsence(kernel) ? [] : surroundingsPairs(report)),
  ];
  const rows = pairs.map(([label, value]) => {
    const bar = label === 'memory' && !isAbsence(memory) ? memoryBar(memory) : '';
    return html`<div><dt>${label}</dt><dd>${value}${bar}</dd></div>`;
  });
  return {
    id: 'kernel',
    title: 'Kernel',
    body: [html`<dl class="facts">${rows}</dl>`, isAbsence(kernel) ? absentMarkup(kernel) : ''],
  };
}

function memoryBar({ total, available }: Exclude<Report['memory'], Absence>): Content {
  if (total === null || available === null || total === 0) return '';
  const used = Math.max(0, total - available);
  return html`<meter min="0" max="${total}" low="${Math.floor(total * 0.8)}" high="${Math.floor(total * 0.95)}" optimum="0" value="${used}">${humanBytes(used)} used</meter>`;
}

function* eventsPart({ crash }: Report): Generator<Part> {
  if (isAbsence(crash) || crash.events.length < 2) return;
  const rows = crash.events.map(
    ({ time, title, cpu, comm, pid, weight }) =>
      html`<tr class="${weight === 'panic' || weight === 'die' ? 'strong' : ''}"><td class="num">${time === null ? '' : time.toFixed(3)}</td><td class="text">${title}</td><td>${cpu === null ? '' : `CPU ${cpu}`}</td><td>${comm ?? ''}${pid === null ? '' : ` (${pid})`}</td></tr>`,
  );
  yield {
    id: 'events',
    title: 'Events',
    aside: 'everything that went wrong, in order',
    body: html`<div class="scroll"><table><tbody>${rows}</tbody></table></div>`,
  };
}

function* printedPart({ crash }: Report): Generator<Part> {
  if (isAbsence(crash) || crash.text.length === 0) return;
  const open = crash.text.length <= 120;
  yield {
    id: 'printed',
    title: 'What the kernel printed',
    body: html`<details${open ? html` open` : ''}><summary class="aside">${crash.text.length} lines</summary><pre>${crash.text.join('\n')}</pre></details>`,
  };
}

const LEVELS = ['emergencies', 'alerts', 'critical', 'errors', 'warnings', 'notices', 'info', 'debug'];

function logMarkup({ records, pending }: Exclude<Report['log'], Absence>): Content {
  const options = LEVELS.map((name, level) => {
    const words = level === LEVELS.length - 1 ? 'all levels' : `${name} and worse`;
    return level < 2
      ? ''
      : html`<option value="${level}"${level === LEVELS.length - 1 ? html` selected` : ''}>${words}</option>`;
  });
  const lines = records.map(
    ({ time, level, text }) =>
      html`<div class="l${level}"><time>${time === null ? '' : time.toFixed(6).padStart(12)}</time><span>${text}</span></div>
`,
  );
  const writing = pending.map((line) => html`<div class="l4"><time>being written</time><span>${line}</span></div>`);
  return html`<div class="tools"><input type="search" id="log-search" placeholder="Search the log" aria-label="Search the log"><select id="log-level" aria-label="Levels">${options}</select><output id="log-count"></output></div>
<p class="paper">On paper: warnings and worse, and the last 60 lines.</p>
<div class="log" tabindex="0" role="log">
${lines}${writing}</div>`;
}

function* evidencePart({ evidence }: Report): Generator<Part> {
  if (evidence.length === 0) return;
  const rows = evidence.map(
    ({ question, method, answer, accepted, detail }) =>
      html`<tr class="${accepted ? '' : 'dim'}"><td>${question}</td><td class="text mono">${answer ?? 'no answer'}</td><td class="text">${method}${detail === null ? '' : `: ${detail}`}${accepted ? '' : ' (not used)'}</td></tr>`,
  );
  yield {
    id: 'evidence',
    title: 'Evidence',
    aside: 'how the facts above were found',
    body: html`<details class="quiet"><summary class="aside">${evidence.length} answers</summary><div class="scroll"><table><tbody>${rows}</tbody></table></div></details>`,
  };
}
