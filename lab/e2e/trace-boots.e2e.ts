import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileSource } from '../../src/bytes/node.js';
import type { Trace, TraceBuffer } from '../../src/trace/model.js';
import { openPersistentTrace, withFormatsOf } from '../../src/trace/open.js';
import { traceFor } from '../../src/trace/relocation.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { sceneDirectory } from '../directories.js';
import { TRACES } from '../traces.js';
import { labTrace, linesOf, sameLines, textOf, truthOf } from './traces.js';

for (const { name: scene, kernel } of TRACES.filter(({ ending }) => ending === 'boots')) {
  const next = labTrace(scene, 'next.elf');
  const region = openPersistentTrace(FileSource.open(join(sceneDirectory(scene), 'region.bin')));
  assert.ok(region);
  const inFile = withFormatsOf(region, next);
  const ways: readonly (readonly [what: string, trace: Trace, buffer: TraceBuffer | undefined])[] = [
    ['in its memory', next, next.buffers.find(({ instance }) => instance === 'boot_map')],
    ['in a file', inFile, inFile.buffers[0]],
  ];
  for (const [what, trace, buffer] of ways) {
    test(`${scene}: the trace that survived, read ${what}, is what the next boot shows`, () => {
      assert.ok(buffer);
      assert.deepEqual(buffer.damage, []);
      const truth = truthOf(scene, 'instances/boot_map/trace');
      const shown = traceFor(trace, buffer);
      if (kernel === '7.2')
        sameLines(asRecorded(textOf(shown, buffer, { earlierBoot: true })), asRecorded(truth), what);
      else sameInEitherForm(shown, buffer, truth);
    });
  }

  test(`${scene}: the kernel that died and the region alone hold the same events`, () => {
    const expected = eventsOf(next.buffers.find(({ instance }) => instance === 'boot_map'));
    assert.ok(expected.length > 3000);
    assert.deepEqual(eventsOf(labTrace(scene).buffers.find(({ instance }) => instance === 'boot_map')), expected);
    assert.deepEqual(eventsOf(region.buffers[0]), expected);
  });
}

/** A number that is an address is moved by the kernel as the address is; we leave it as it was recorded. */
function asRecorded(text: string): string {
  return text.replaceAll(/(\+0x[0-9a-f]+\/0x[0-9a-f]+(?: \[\w+\])?) \(-\d+\)/g, '$1');
}

/** 6.12 shows system calls by their fields, too, and puts zeros before a pointer among fields. */
function sameInEitherForm(trace: Trace, buffer: TraceBuffer, truth: string): void {
  const isOwn = (type: number): boolean => trace.formats.byId(type)?.system === 'ftrace';
  const words = linesOf(trace, buffer, { wanted: ({ type }) => isOwn(type) });
  const fields = linesOf(trace, buffer, { fields: true, wanted: ({ type }) => !isOwn(type) });
  let [word, field] = [0, 0];
  for (const line of truth.split('\n')) {
    if (line.startsWith('#')) continue;
    if (line === words[word]) word++;
    else assert.equal(fields[field++], line.replaceAll(/\(0x0+(?=[0-9a-f])/g, '(0x'), `behind ${words[word - 1]}`);
  }
  // Both end with an empty line, and the truth with one.
  assert.deepEqual([word, field], [words.length, fields.length - 1]);
}

function eventsOf(buffer: TraceBuffer | undefined): string[] {
  assert.ok(buffer);
  const events = readEvents(buffer);
  return Array.from(events, ({ cpu, type, pid, time }) => `${cpu} ${type} ${pid} ${events.base} ${time}`);
}
