import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { isAbsence } from '../absence.js';
import { buildReport } from '../report.js';
import type { Absence } from '../schema/common.js';
import type { Report } from '../schema/report.js';
import type { Subject } from '../subject.js';
import { escaped, html, Markup } from './markup.js';
import { reportPage } from './page.js';

const sample = openSample();
const report = buildReport(sample, { bytes: 1, logLines: 20, wholeLog: true });
const page = (model: Report): string => [...reportPage(model)].join('\n');

/** Every text of the report, with something put into each. */
function poisoned<T>(value: T, poison: (text: string) => string): T {
  if (typeof value === 'string') return poison(value) as T;
  if (Array.isArray(value)) return value.map((one) => poisoned(one, poison)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, poisoned(one, poison)])) as T;
}

/** What the page says that is its own: everything between its tags is gone. */
function tags(text: string): string[] {
  const body = text
    .replace(/<style>[\s\S]*?<\/style>/, '<style></style>')
    .replace(/<script>[\s\S]*?<\/script>/, '<script></script>');
  return [...body.matchAll(/<\/?([a-z][a-z0-9]*)((?: [a-z-]+(?:="[^"<>]*")?)*)>|<[\s\S]/g)].map(([tag]) => tag);
}

test('the page holds everything that the report has', () => {
  const text = page(report);
  assert.match(text, /^<!doctype html>\n<html lang="en">/);
  for (const id of [
    'cause',
    'stack',
    'cpus',
    'kernel',
    'tasks',
    'modules',
    'registers',
    'printed',
    'log',
    'evidence',
  ]) {
    assert.ok(text.includes(`<section id="${id}"`) && text.includes(`href="#${id}"`), id);
  }
  assert.ok(!isAbsence(report.log) && !isAbsence(report.tasks) && !isAbsence(report.signature));
  assert.equal(report.log.records.length, report.log.total);
  assert.equal(text.match(/<div class="l\d">/g)?.length, report.log.total + report.log.pending.length);
  assert.ok(text.includes(report.signature.id));
  for (const { comm } of report.tasks.list) assert.ok(text.includes(escaped(comm)), comm);
});

test('nothing is asked of the network, and only the script and style of the page may run', () => {
  const text = page(report);
  assert.equal(text.match(/(?:src|action|srcset|data|poster)="|url\(|@import|https?:|fetch\(|XMLHttp/), null);
  for (const [, target] of text.matchAll(/href="([^"]*)"/g)) assert.match(target ?? '', /^#[a-z]+$/);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(text)?.[1] ?? '';
  assert.match(policy, /^default-src 'none';/);
  for (const element of ['style', 'script']) {
    const own = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`).exec(text)?.[1] ?? '';
    assert.ok(own.length > 1000);
    assert.ok(policy.includes(`${element}-src 'sha256-${createHash('sha256').update(own).digest('base64')}'`), element);
  }
  assert.equal(text.match(/<[^>]* (?:style|on[a-z]+)=/), null);
});

test('a hostile dump cannot put markup into the page', () => {
  const before = tags(page(report)).map((tag) => tag.replace(/"[^"]*"/g, '""'));
  const attacks = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    '</pre></div></main>',
    '<!--',
    '&lt;b&gt;',
  ];
  for (const attack of attacks) {
    const hostile = poisoned(report, (text) =>
      /^0x[0-9a-f]+$|^(?:call|user|interrupted|kernel|absent)$/.test(text) ? text : text + attack,
    );
    const text = page(hostile);
    assert.ok(!text.includes(attack) || attack === '&lt;b&gt;', attack);
    const after = tags(text).map((tag) => tag.replace(/"[^"]*"/g, '""'));
    const strange = after.filter((tag) => !before.includes(tag));
    assert.deepEqual(
      strange.filter((tag) => !/^<\/?(?:span|p|small)(?: class="")?>$/.test(tag)),
      [],
      attack,
    );
    assert.equal(text.match(/<script/g)?.length, 1);
  }
});

test('control characters and reversed directions are shown, not obeyed', () => {
  const text = page(poisoned(report, (one) => `${one}\u202e\u001b[2J`));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
  assert.equal(text.match(/[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]/), null);
});

test('markup escapes what is put into it, and only that', () => {
  assert.equal(
    html`<b title="${'"<&>'}">${"it's"}${html`<i>${1}</i>`}${[null, false, undefined, 'x']}</b>`.text,
    '<b title="&quot;&lt;&amp;&gt;">it&#39;s<i>1</i>x</b>',
  );
  const random = new Random(404);
  for (let round = 0; round < 500; round++) {
    const text = Array.from({ length: random.below(20) }, () => String.fromCodePoint(random.below(0x2100))).join('');
    assert.equal(html`${text}`.text.match(/[<>"']/), null);
    assert.equal(html`${new Markup('<i>')}`.text, '<i>');
  }
});

test('what is missing says why, and a report of nothing is still a page', () => {
  const absent: Absence = { absent: 'gone <b>', code: 'EXH_NO_LAYOUT', hint: 'a hint' };
  const without = {
    ...report,
    cause: absent,
    signature: absent,
    stacks: absent,
    tasks: absent,
    memory: absent,
    modules: absent,
    log: absent,
  };
  const text = page(without);
  assert.ok(text.includes('gone &lt;b&gt;; a hint'));
  assert.ok(!text.includes('id="cause"'));
  const subject: Subject = {
    ...sample,
    machine: { absent: 'no architecture', code: 'EXH_UNKNOWN_ARCHITECTURE', hint: null },
    kernel: { absent: 'no architecture', code: 'EXH_UNKNOWN_ARCHITECTURE', hint: null },
    search: { kernels: [], evidence: [] },
  };
  assert.match(page(buildReport(subject, { bytes: 1, logLines: 20, wholeLog: true })), /Not readable: no architecture/);
});

test('a stack that overflowed is folded in its middle, and every frame is there', () => {
  assert.ok(!isAbsence(report.stacks));
  const [first] = report.stacks;
  assert.ok(first !== undefined && !isAbsence(first.stack));
  const [frame] = first.stack.frames;
  assert.ok(frame !== undefined);
  const frames = Array.from({ length: 1900 }, (_, i) => ({ ...frame, symbol: `recurse+0x${i.toString(16)}/0x1000` }));
  const text = page({ ...report, stacks: [{ ...first, stack: { ...first.stack, frames } }] });
  assert.match(text, /<summary>1840 more frames<\/summary>/);
  assert.equal(text.match(/<span class="n">#\d+<\/span>recurse/g)?.length, 1900);
});
