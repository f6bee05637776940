import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EvidenceLog, settle } from './evidence.js';

const show = String;

test('the first way with a value wins; ways that agree are accepted beside it, others are shown with the difference', () => {
  const log = new EvidenceLog();
  const answer = settle(
    log,
    'phys_base',
    [
      { method: 'absent', value: undefined },
      { method: 'broken', value: undefined, detail: 'the page is not in the dump' },
      { method: 'page tables', value: 16n },
      { method: 'VMCOREINFO', value: 16n },
      { method: 'header', value: 22n },
      { method: 'misread', value: 10n, detail: 'read as hexadecimal' },
    ],
    show,
  );
  assert.equal(answer, 16n);
  assert.deepEqual(log.all, [
    {
      question: 'phys_base',
      method: 'broken',
      answer: undefined,
      accepted: false,
      detail: 'the page is not in the dump',
    },
    { question: 'phys_base', method: 'page tables', answer: '16', accepted: true },
    { question: 'phys_base', method: 'VMCOREINFO', answer: '16', accepted: true },
    { question: 'phys_base', method: 'header', answer: '22', accepted: false, detail: 'disagrees with 16' },
    { question: 'phys_base', method: 'misread', answer: '10', accepted: false, detail: 'read as hexadecimal' },
  ]);
});

test('with no value anywhere there is no answer', () => {
  assert.equal(settle(new EvidenceLog(), 'x', [{ method: 'a', value: undefined }], show), undefined);
});
