import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sceneDirectory } from '../directories.js';
import { TRACES } from '../traces.js';
import { labTrace, linesOf } from './traces.js';

/** CPU and what happened, of a line as `ftrace_dump_on_oops` puts it on the console, and as `trace` has it. */
const ON_CONSOLE = /^\[ *[\d.]+\] .{8,}-\d+ +(\d+)\S{5,6} +\d+us : (.*?)\r?$/;
const IN_TEXT = /^ *.*-\d+ +(?:\([ -\d]+\) )?\[(\d+)\] \S{5} +\d+\.\d+: (.*)$/;

/**
 * What happened on each CPU, in order. Markers are in the buffer that they were written to only. System calls stand
 * apart: between the moments when one is put into the one buffer and into the other there may be an interrupt.
 */
function byCpu(lines: readonly string[], pattern: RegExp): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of lines) {
    const [, cpu, body] = pattern.exec(line) ?? [];
    if (cpu === undefined || body === undefined || /^(tracing_mark_write: |# )/.test(body)) continue;
    const row = `CPU ${Number(cpu)}, ${body.startsWith('sys_') ? 'system calls' : 'events'}`;
    const all = found.get(row) ?? [];
    all.push(body);
    found.set(row, all);
  }
  return found;
}

for (const { name: scene } of TRACES.filter(({ ending }) => ending === 'on')) {
  test(`${scene}: the last events before the panic are those that the kernel printed when it died`, () => {
    const serial = readFileSync(join(sceneDirectory(scene), 'serial.log'), 'utf8');
    const printed = byCpu(serial.split('\n'), ON_CONSOLE);
    const trace = labTrace(scene);
    const twin = trace.buffers.find(({ instance }) => instance === 'twin');
    assert.ok(twin);
    assert.equal(twin.recording, true);
    const kept = byCpu(linesOf(trace, twin, {}), IN_TEXT);
    assert.equal(printed.size, 4);
    for (const [row, events] of printed) {
      assert.ok(events.length > 50, `${row}: ${events.length}`);
      const all = kept.get(row) ?? [];
      const there = all.some((_, index) => events.every((event, behind) => event === all[index + behind]));
      assert.ok(there, `${row}: not all of ${events[0]} … ${events.at(-1)}`);
    }
  });

  test(`${scene}: what the dying kernel took out of its buffer to print it is not in it any more`, () => {
    const trace = labTrace(scene);
    const top = trace.buffers.find(({ instance }) => instance === undefined);
    assert.ok(top);
    assert.deepEqual(top.damage, []);
    assert.deepEqual(
      top.cpus.map(({ statistics }) => statistics?.entries),
      [0, 0],
    );
    assert.deepEqual(linesOf(trace, top, {}), ['']);
  });
}
