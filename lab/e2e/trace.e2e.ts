import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeFormatFile } from '../../src/trace/formats/format-file.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { sceneDirectory } from '../directories.js';
import { TRACES } from '../traces.js';
import { labTrace, nameOf, placeOf, sameLines, textOf, truthOf } from './traces.js';

for (const { name: scene } of TRACES.filter(({ ending }) => ending === 'off')) {
  const trace = labTrace(scene);
  const instances = readdirSync(join(sceneDirectory(scene), 'truth/instances'));
  const buffers = trace.buffers.filter(({ snapshot }) => !snapshot);

  test(`${scene}: all instances are found, and nothing is damaged`, () => {
    assert.deepEqual(
      buffers.map(({ instance }) => instance).filter((name) => name !== undefined),
      instances.sort(),
    );
    assert.deepEqual(trace.damage, []);
    for (const buffer of trace.buffers) assert.deepEqual(buffer.damage, [], nameOf(buffer));
  });

  test(`${scene}: the text of every buffer is the guest's own, line by line`, () => {
    let lines = 0;
    for (const buffer of trace.buffers) {
      const expected = truthOf(scene, placeOf(buffer), buffer.snapshot ? 'snapshot' : 'trace');
      // Instead of an empty snapshot there is a text on how to take one.
      if (buffer.snapshot && expected.includes('* Snapshot is')) continue;
      lines += expected.split('\n').length;
      sameLines(textOf(trace, buffer), expected, nameOf(buffer));
    }
    assert.ok(lines > 50_000, `${lines} lines`);
  });

  test(`${scene}: the text follows the options of the buffer`, () => {
    const buffer = buffers.find(({ instance }) => instance === 'read-again');
    assert.ok(buffer?.options);
    const flipped = readdirSync(join(sceneDirectory(scene), 'truth', placeOf(buffer), 'with'));
    assert.ok(flipped.length > 5);
    for (const option of flipped) {
      const options = new Set(buffer.options);
      if (!options.delete(option)) options.add(option);
      sameLines(textOf(trace, { ...buffer, options }), truthOf(scene, placeOf(buffer), 'with', option), option);
    }
  });

  test(`${scene}: what is told of each buffer and CPU is what its files say`, () => {
    for (const buffer of buffers) {
      const file = (...path: readonly string[]): string => truthOf(scene, placeOf(buffer), ...path);
      assert.equal(buffer.clock, /\[([^\]]+)\]/.exec(file('trace_clock'))?.[1]);
      assert.equal(buffer.tracer, file('current_tracer').trim());
      assert.equal(buffer.recording, false);
      const options = file('trace_options')
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('no'));
      assert.ok(buffer.options);
      assert.deepEqual(
        options.filter((option) => !buffer.options?.has(option)),
        [],
        nameOf(buffer),
      );
      for (const { cpu, statistics } of buffer.cpus) {
        const stats = file('per_cpu', `cpu${cpu}`, 'stats');
        const said = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(stats)?.[1]);
        assert.deepEqual(statistics, {
          entries: said('entries'),
          overrun: said('overrun'),
          commitOverrun: said('commit overrun'),
          droppedEvents: said('dropped events'),
          readEvents: said('read events'),
          bytes: said('bytes'),
        });
        const events = [...readEvents(buffer, { cpus: [cpu] })].length;
        assert.equal(events, said('entries'), `${nameOf(buffer)}, CPU ${cpu}`);
      }
    }
  });

  test(`${scene}: the format of every event is the guest's own`, () => {
    const events = join(sceneDirectory(scene), 'truth/events');
    let count = 0;
    for (const format of trace.formats.all) {
      if (!existsSync(join(events, format.system, format.name, 'format'))) continue;
      const expected = truthOf(scene, 'events', format.system, format.name, 'format');
      sameLines(writeFormatFile(format, trace.formats.common), expected, `${format.system}/${format.name}`);
      count++;
    }
    assert.equal(count, readdirSync(events, { recursive: true, encoding: 'utf8' }).filter(isFormat).length);
  });

  test(`${scene}: saved names are the guest's own`, () => {
    const { names } = trace;
    const lines = (name: string): string[] => truthOf(scene, name).split('\n').filter(Boolean).sort();
    assert.deepEqual([...names.comms()].map(([pid, comm]) => `${pid} ${comm}`).sort(), lines('saved_cmdlines'));
    assert.deepEqual([...names.threadGroups()].map(([pid, group]) => `${pid} ${group}`).sort(), lines('saved_tgids'));
  });
}

function isFormat(path: string): boolean {
  return path.endsWith('/format');
}
