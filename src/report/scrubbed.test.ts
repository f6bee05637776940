import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scrubUser } from '../convert/scrub.js';
import { openSample } from '../testing/sample.js';
import { ScrubbedMemory } from '../testing/scrubbed-memory.js';
import { buildPs } from './ps.js';
import { QUESTIONS } from './questions.js';
import { openSubject } from './subject.js';

const { container, kernel } = openSample();
const whole = openSubject(container);
const scrubbed = openSubject({ ...container, memory: new ScrubbedMemory(kernel, scrubUser(kernel)) });

test('without the data of users every question is answered as before', () => {
  for (const { line, ask, ofProcesses } of QUESTIONS) {
    if (!ofProcesses) assert.ok(JSON.stringify(ask(scrubbed)) === JSON.stringify(ask(whole)), `${line} differs`);
  }
});

test('arguments and environment of programs are gone, and said to be', () => {
  const of = (subject: typeof whole) => buildPs(subject, { selectors: ['1'], programs: true }).programs?.[0];
  assert.deepEqual(of(whole)?.arguments?.slice(0, 2), ['/bin/busybox', 'sh']);
  assert.equal(of(scrubbed)?.arguments, null);
  assert.match(of(scrubbed)?.absent ?? '', /was filtered out/);
});
