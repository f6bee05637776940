/** `convert --keep kernel`: what it keeps of a real guest's memory gives the same answers, and is little. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import type { Pfn } from '../../src/bytes/address.js';
import { isExhumeError } from '../../src/bytes/errors.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { keptPages } from '../../src/report/keep.js';
import { QUESTIONS } from '../../src/report/questions.js';
import { openSubject, type Subject } from '../../src/report/subject.js';
import { KeptMemory } from '../../src/testing/kept-memory.js';
import { labDumps } from './support.js';

/** Bytes, compressed page by page. */
const MOST = 10_000_000;

/** One dump a scene: those of the first kernel line and of the newest, found with VMCOREINFO and without. */
const SCENES = ['panic-6.1', 'panic-7.2', 'stuck-6.1', 'high', 'la57', 'panic-7.2-bare', 'rebooted-6.1-bare', 'ovmf'];

function answer(subject: Subject, ask: (subject: Subject) => unknown): string {
  try {
    return JSON.stringify(ask(subject));
  } catch (error) {
    if (isExhumeError(error)) return error.message;
    throw error;
  }
}

for (const scene of SCENES) {
  const dump = labDumps().find(({ title, cutOff }) => title.startsWith(`${scene}/`) && !cutOff);
  test(`${dump?.title ?? scene}: --keep kernel keeps every answer, in less than ${MOST / 1e6} MB`, () => {
    assert.ok(dump !== undefined, `scene ${scene} is missing: npm run lab`);
    const whole = openDumpFiles(dump.files);
    const kept = keptPages(openSubject(whole));
    const filtered = { ...whole, memory: new KeptMemory(whole.memory, kept) };
    for (const index of openSubject(whole).search.kernels.keys()) {
      for (const { line, ask } of QUESTIONS) {
        const [expected, found] = [whole, filtered].map((container) => answer(openSubject(container, index), ask));
        // Compared before equal(), whose message on megabytes takes minutes.
        assert.ok(found === expected, `${line} of kernel ${index} differs`);
      }
    }
    let bytes = 0;
    for (const [start, end] of kept.runs()) {
      for (let pfn = start; pfn < end; pfn++) {
        const page = whole.memory.page(pfn as Pfn);
        assert.ok(typeof page !== 'string');
        bytes += page.every((byte) => byte === 0) ? 0 : Math.min(page.length, deflateSync(page).length);
      }
    }
    assert.ok(bytes < MOST, `${bytes} bytes`);
  });
}
