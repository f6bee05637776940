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

/**
 * How many of the events are in no stretch of the others that is as long, at best. An interrupt between the writing of one event
 * to one buffer and to the other puts its own events before it in one, behind it in the other: the order is not compared.
 */
function leastMissing(events: readonly string[], all: readonly string[]): number {
  const wanted = new Map<string, number>();
  for (const event of events) wanted.set(event, (wanted.get(event) ?? 0) + 1);
  let missing = events.length;
  let least = missing;
  // What a stretch has of each event counts up to how often it is wanted.
  const step = (event: string | undefined, by: 1 | -1): void => {
    const left = event === undefined ? undefined : wanted.get(event);
    if (event === undefined || left === undefined) return;
    if (by === 1 ? left > 0 : left >= 0) missing -= by;
    wanted.set(event, left - by);
  };
  for (const [index, event] of all.entries()) {
    step(event, 1);
    if (index >= events.length) step(all[index - events.length], -1);
    least = Math.min(least, missing);
  }
  return least;
}

/** Events of an interrupt at the end of what was printed, or at its front. */
const AT_EDGES = 4;

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
      const missing = leastMissing(events, kept.get(row) ?? []);
      assert.ok(missing <= AT_EDGES, `${row}: ${missing} of ${events.length} from ${events[0]} on are not there`);
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
