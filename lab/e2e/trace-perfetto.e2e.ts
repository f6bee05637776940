import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { perfettoTrace } from '../../src/trace/files/perfetto.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { TraceText } from '../../src/trace/text/trace-text.js';
import { TRACES } from '../traces.js';
import { labTrace, sameLines } from './traces.js';

// From dist/lab/e2e as from lab/e2e.
const PROTO = fileURLToPath(new URL('../../../lab/proto/', import.meta.url));

/** The file in words, by Perfetto's schema. Fields that it does not know have their numbers for names. */
function decoded(file: Uint8Array): string {
  const args = ['--decode=Trace', '-I', PROTO, 'perfetto.proto'];
  const { status, stdout, stderr } = spawnSync('protoc', args, { input: file, encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** The events of each CPU: time, thread, kind; what a switch says. */
function eventsOf(text: string): Map<number, string[]> {
  const described = new Map<string, string>();
  const events = new Map<number, string[]>();
  let cpu = Number.NaN;
  let [time, pid, field] = ['', '', ''];
  let values: string[] = [];
  for (const line of text.split('\n')) {
    const [, indent = '', word = '', value] = /^( *)(\w+)(?:: (.*)| \{)$/.exec(line) ?? [];
    if (indent.length === 4 && word === 'cpu') cpu = Number(value);
    else if (word === 'field_id') field = value ?? '';
    else if (word === 'event_descriptor')
      described.set(field, /^"\\n(?:\\\d{3}|\\.|.)(\w+)/.exec(value ?? '')?.[1] ?? '');
    else if (indent.length === 6 && word === 'timestamp') time = value ?? '';
    else if (indent.length === 6 && word === 'pid') pid = value ?? '';
    else if (indent.length === 6 && value === undefined && word !== '') {
      const name = /^\d+$/.test(word) ? described.get(word) : word;
      assert.ok(name, `field ${word} of an event is not described`);
      values = [`${time} ${pid} ${name}`];
    } else if (indent.length === 8 && values[0]?.endsWith(' sched_switch')) values.push(`${word}=${value}`);
    else if (line === '      }') {
      const all = events.get(cpu) ?? [];
      all.push(values.join(' '));
      events.set(cpu, all);
    }
    // Only descriptions and events that are described have numbers for names.
    else assert.ok(indent.length >= 8 || !/^\d/.test(word), line);
  }
  return events;
}

for (const { name: scene } of TRACES.filter(({ ending }) => ending === 'off')) {
  test(`${scene}: the Perfetto file has, by Perfetto's schema, all events of the trace`, () => {
    const trace = labTrace(scene);
    const [buffer] = trace.buffers;
    assert.ok(buffer);
    const found = eventsOf(decoded(Buffer.concat([...perfettoTrace(trace, buffer, readEvents(buffer))])));
    const expected = new Map<number, string[]>();
    const stream = readEvents(buffer);
    const text = new TraceText(trace, buffer, stream);
    for (const event of stream) {
      const all = expected.get(event.cpu) ?? [];
      expected.set(event.cpu, all);
      const name = trace.formats.byId(event.type)?.name ?? '';
      let line = `${stream.base + BigInt(event.time)} ${event.pid} ${name}`;
      if (name === 'sched_switch')
        line += ` ${switched(text.body(event), event.view.getBigInt64(event.start + 32, true))}`;
      all.push(line);
    }
    assert.equal(found.size, expected.size);
    for (const [cpu, events] of expected) sameLines((found.get(cpu) ?? []).join('\n'), events.join('\n'), `CPU ${cpu}`);
  });
}

/** The kernel's words of a switch as those of the file; a state is a number there. */
function switched(body: string, state: bigint): string {
  const words =
    /prev_comm=(.*) prev_pid=(\d+) prev_prio=(\d+) prev_state=\S+ ==> next_comm=(.*) next_pid=(\d+) next_prio=(\d+)/;
  const [, comm, pid, prio, next, nextPid, nextPrio] = words.exec(body) ?? [];
  return (
    `prev_comm="${comm}" prev_pid=${pid} prev_prio=${prio} prev_state=${state} ` +
    `next_comm="${next}" next_pid=${nextPid} next_prio=${nextPrio}`
  );
}
