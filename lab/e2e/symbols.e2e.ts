import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, exhume, type LabDump, labDumps } from './support.js';

/** Tools that came after the guest's own list was read: BPF programs and the like may come and go. */
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** One dump a scene is enough: the symbols are the same in each. */
const scenes = new Map<string, LabDump>();
for (const dump of labDumps()) {
  if (dump.truth.kernelRelease !== null && !dump.cutOff && !scenes.has(dump.directory))
    scenes.set(dump.directory, dump);
}

for (const dump of scenes.values()) {
  test(`${dump.title}: the symbols are the guest's /proc/kallsyms, line by line`, () => {
    const { status, stdout, stderr } = exhume(dump, 'sym', '--list');
    assert.equal(status, 0, stderr);
    const expected = lines(account(dump, 'kallsyms')).filter((line) => !/\t\[(bpf|__builtin__\w+)\]$/.test(line));
    const found = lines(stdout);
    // Compared before deepEqual, whose message on 180,000 lines takes minutes.
    const wrong = expected.findIndex((line, index) => line !== found[index]);
    assert.equal(
      wrong < 0 ? '' : `line ${wrong}: ${found[wrong]}`,
      wrong < 0 ? '' : `line ${wrong}: ${expected[wrong]}`,
    );
    assert.equal(found.length, expected.length);
  });
}
