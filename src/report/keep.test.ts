import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../dump/container.js';
import { PageBitmap } from '../dump/page-bitmap.js';
import { KeptMemory } from '../testing/kept-memory.js';
import { openSample } from '../testing/sample.js';
import { buildBt } from './bt.js';
import { buildDis, type DecodedInstruction } from './dis.js';
import { keptPages } from './keep.js';
import { QUESTIONS } from './questions.js';
import { openSubject, type Subject } from './subject.js';

const { container } = openSample();

function filtered(whole: Container): { readonly subject: Subject; readonly kept: PageBitmap } {
  const kept = keptPages(openSubject(whole));
  return { subject: openSubject({ ...whole, memory: new KeptMemory(whole.memory, kept) }), kept };
}

const { subject, kept } = filtered(container);

for (const { line, ask } of QUESTIONS) {
  test(`of the pages that are kept, ${line} answers the same`, () => {
    // Opened anew: what an earlier question left in the memory of the subject must not help this one.
    assert.equal(JSON.stringify(ask(openSubject(subject.container))), JSON.stringify(ask(openSubject(container))));
  });
}

test('words on the stacks of all tasks are told as before', () => {
  const words = (of: Subject) => buildBt(of, { all: true, allTextAddresses: true, words: true, raw: true });
  const [found, expected] = [subject.container, container].map((of) => JSON.stringify(words(openSubject(of))));
  assert.ok(found === expected);
});

/** All the bytes as one instruction. */
function* undecoded(code: Uint8Array): Generator<DecodedInstruction> {
  yield { length: code.length, text: '', target: undefined, valid: true };
}

test('code of the functions on stacks is kept, other code is not', () => {
  const codeOf = (of: Subject, name: string) => buildDis(of, name, undecoded).instructions[0]?.bytes;
  for (const name of ['schedule', 'panic', 'sysrq_handle_crash']) {
    assert.equal(codeOf(subject, name), codeOf(openSubject(container), name), name);
  }
  assert.throws(() => codeOf(subject, 'kexec_crash_loaded'), { code: 'EXH_PAGE_EXCLUDED' });
});

test('less than half of the memory is kept, and nothing that is not there', () => {
  const { memory } = container;
  assert.ok(kept.count() * memory.pageSize < memory.presentBytes() / 2, `${kept.count()} pages`);
  const recorded = keptPages(openSubject({ ...container, memory: new KeptMemory(memory, kept) }));
  assert.deepEqual([...recorded.runs()], [...kept.runs()]);
});

test('a dump in which the kernel is found by searching stays one in which it is found', () => {
  const bare: Container = { ...container, vmcoreinfo: undefined, notes: [] };
  const { subject: again, kept: pages } = filtered(bare);
  assert.ok(pages.count() * container.memory.pageSize < container.memory.presentBytes() / 2, `${pages.count()} pages`);
  for (const { line, ask } of QUESTIONS.slice(0, 3)) {
    assert.equal(JSON.stringify(ask(again)), JSON.stringify(ask(openSubject(bare))), line);
  }
});

test('without a kernel there is nothing to keep', () => {
  const memory = new KeptMemory(container.memory, PageBitmap.empty(0));
  assert.throws(() => keptPages(openSubject({ ...container, memory, vmcoreinfo: undefined, notes: [] })), {
    code: /EXH_NO_KERNEL|EXH_UNKNOWN_ARCHITECTURE/,
  });
});
