import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExhumeError } from '../bytes/errors.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { chooseGuest } from './choose.js';
import { withNames } from './find.js';
import type { Guest, GuestParts } from './guest.js';

/** A guest of the process with this pid, named on its command line. */
function partsOf(pid: number | undefined, name?: string): GuestParts {
  const uuid = pid === undefined ? undefined : `e4a3c0de-0000-4000-8000-${String(pid).padStart(12, '0')}`;
  return {
    name: name ?? (pid === undefined ? 'guest' : `qemu-kvm-${pid}`),
    how: 'kvm structures',
    ...(pid !== undefined && { process: { pid, comm: 'qemu-kvm', commandLine: [], name, uuid } }),
    cpus: [],
    memory: new SparseMemory(),
    evidence: [],
    damage: [],
  };
}

function guestsOf(parts: readonly GuestParts[]): Guest[] {
  return withNames(parts).map((one, index) => ({ ...one, index, container: () => assert.fail('it is not opened') }));
}

const GUESTS = guestsOf([
  partsOf(900, 'web'),
  partsOf(901, 'db'),
  partsOf(902, 'web'),
  partsOf(903),
  partsOf(undefined),
  partsOf(undefined),
  partsOf(904, '1'),
]);

describe('guests by name', () => {
  it('are told apart by pid where several have one name', () => {
    const names = ['web@900', 'db', 'web@902', 'qemu-kvm-903', 'guest', 'guest-2', '1'];
    assert.deepEqual(
      GUESTS.map(({ name }) => name),
      names,
    );
  });

  it('are found by name, index, pid and UUID, with the way before it or without', () => {
    const words: [string, number][] = [
      ['db', 1],
      ['name:db', 1],
      ['web@902', 2],
      ['3', 3],
      ['index:3', 3],
      ['903', 3],
      ['pid:903', 3],
      ['E4A3C0DE-0000-4000-8000-000000000900', 0],
      ['uuid:e4a3c0de-0000-4000-8000-000000000900', 0],
      ['guest-2', 5],
    ];
    for (const [word, index] of words) assert.equal(chooseGuest(GUESTS, word)?.index, index, word);
  });

  it('are not found by what none has', () => {
    for (const word of ['mail', '17', 'pid:3', 'index:903', 'uuid:', 'constructor:x', ''])
      assert.equal(chooseGuest(GUESTS, word), undefined, word);
  });

  it('are listed where a word may mean several', () => {
    const refused = (word: string, message: RegExp): void =>
      assert.throws(
        () => chooseGuest(GUESTS, word),
        (error) => error instanceof ExhumeError && error.code === 'EXH_NO_GUEST' && message.test(error.message),
      );
    refused('web', /may be any of 2 guests: 0 web@900 \(pid 900, e4a3.*900\), 2 web@902 \(pid 902, /);
    // The index of one, the name of another.
    refused('1', /1 db \(.*\), 6 1 \(pid 904/);
    assert.equal(chooseGuest(GUESTS, 'name:1')?.index, 6);
    assert.equal(chooseGuest(GUESTS, 'index:1')?.index, 1);
  });

  it('are listed up to a point', () => {
    const many = guestsOf(Array.from({ length: 60 }, (_, i) => partsOf(1000 + i, 'vm')));
    assert.throws(
      () => chooseGuest(many, 'vm'),
      /60 guests: 0 vm@1000 .*, 49 vm@1049 \(pid 1049, [^,]*\), and 10 more$/,
    );
  });
});
