import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExhumeError } from '../../bytes/errors.js';
import { bytesOf } from '../../bytes/search.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { BOCHS_2_7 } from './layouts/bochs.js';
import { HASWELL, PENRYN } from './layouts/intel.js';
import { fieldNamed } from './vmcs-fields.js';
import {
  decodeOffset,
  encodeOffset,
  notesOfFile,
  parseVmcsinfo,
  VMCSINFO,
  vmcsinfoAt,
  vmcsinfoBytes,
  vmcsinfoText,
} from './vmcsinfo.js';

/** Values of the note in the mail of 2012, of a Core 2. */
const MAIL: readonly (readonly [value: bigint, bytes: number, field: string])[] = [
  [0x0184_0180n, 4, 'PIN_BASED_VM_EXEC_CONTROL'],
  [0x0194_0190n, 4, 'CPU_BASED_VM_EXEC_CONTROL'],
  [0x0fe4_0fe0n, 4, 'SECONDARY_VM_EXEC_CONTROL'],
  [0x01e4_01e0n, 4, 'VM_EXIT_CONTROLS'],
  [0x0314_0310n, 4, 'VM_ENTRY_CONTROLS'],
  [0x0500n, 2, 'GUEST_ES_SELECTOR'],
  [0x0530n, 2, 'GUEST_CS_SELECTOR'],
];

const badNote = (error: unknown): boolean => error instanceof ExhumeError && error.code === 'EXH_BAD_NOTE';

describe('a value of VMCSINFO', () => {
  it('is the offset that it was in 2012, on a Core 2', () => {
    for (const [value, bytes, name] of MAIL) {
      const offset = PENRYN.offsets.get(fieldNamed(name)?.encoding ?? -1);
      assert.equal(decodeOffset(value, bytes), offset, name);
      assert.equal(encodeOffset(offset ?? 0, bytes), value, name);
    }
  });

  it('tells every offset, and nothing else', () => {
    for (let offset = 8; offset < 4088; offset += 2) assert.equal(decodeOffset(encodeOffset(offset, 8), 8), offset);
    assert.equal(decodeOffset(0x8001n, 2), undefined);
    assert.equal(decodeOffset(0n, 4), undefined);
    // The words of two places that do not follow each other.
    assert.equal(decodeOffset(0x0184_0184n, 4), undefined);
    // It would reach over the page's end.
    assert.equal(decodeOffset(encodeOffset(4094, 2), 2), 4094);
    assert.equal(decodeOffset(encodeOffset(4094, 4), 4), undefined);
  });
});

describe('a VMCSINFO note', () => {
  it('tells each layout that it was made of', () => {
    for (const layout of VMCS_LAYOUTS) {
      const told = { ...layout, accessRights: layout.accessRights ?? ('rotated' as const) };
      const { revision, layout: read, damage } = parseVmcsinfo(bytesOf(vmcsinfoText(told, 0x1d)), 'a test');
      assert.equal(revision, 0x1d);
      assert.deepEqual(damage, [], layout.name);
      assert.deepEqual([...read.offsets].sort(), [...layout.offsets].sort(), layout.name);
      assert.equal(read.accessRights, told.accessRights, layout.name);
      assert.equal(read.accessRightsBytes, layout.accessRightsBytes, layout.name);
    }
  });

  it('begins as that of 2012 did', () => {
    const [id, ...lines] = vmcsinfoText(PENRYN, 0x0d).split('\n');
    assert.equal(id, 'REVISION_ID=d');
    assert.deepEqual(
      lines.slice(0, 7),
      MAIL.map(([value, bytes, name]) => `FIELD(${name})=${value.toString(16).padStart(bytes * 2, '0')}`),
    );
  });

  it('is a note of 9 bytes of name, type 0', () => {
    const bytes = vmcsinfoBytes('REVISION_ID=4\n');
    assert.deepEqual([...bytes.subarray(0, 24)], [9, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, ...bytesOf('VMCSINFO\0\0\0\0')]);
  });

  it('is read from a file, as a note or as its text', () => {
    const text = vmcsinfoText(HASWELL, 4);
    const [fromNote] = notesOfFile(vmcsinfoBytes(text), 'note');
    const [fromText] = notesOfFile(bytesOf(text), 'text');
    assert.equal(fromNote?.name, VMCSINFO);
    assert.deepEqual(fromNote, fromText);
    assert.throws(() => notesOfFile(bytesOf('something else, that is no note'), 'file'), badNote);
    assert.throws(() => notesOfFile(new Uint8Array(), 'file'), badNote);
  });

  it('is read from memory, by address and size', () => {
    const memory = new SparseMemory();
    const bytes = vmcsinfoBytes(vmcsinfoText(BOCHS_2_7, 0x2b));
    for (let at = 0; at < bytes.length; at += 4096) memory.at(5 + at / 4096).set(bytes.subarray(at, at + 4096));
    const { layout } = vmcsinfoAt(memory, 5 * 4096, 0x2000);
    assert.deepEqual([...layout.offsets].sort(), [...BOCHS_2_7.offsets].sort());
    assert.throws(() => vmcsinfoAt(memory, 5 * 4096, 100), badNote);
    assert.throws(() => vmcsinfoAt(memory, 6 * 4096, 0x1000), badNote);
  });

  it('says which of its lines are broken, and is read all the same', () => {
    const text = 'REVISION_ID=d\nFIELD(GUEST_RIP)=0001\nFIELD(NOBODY)=0500\nFIELD(GUEST_ES_SELECTOR)=0500\nwhat?\n';
    const { layout, damage } = parseVmcsinfo(bytesOf(text), 'a test');
    assert.deepEqual([...layout.offsets], [[0x0800, 0x100]]);
    assert.equal(damage.length, 3);
    assert.throws(() => parseVmcsinfo(bytesOf('OSRELEASE=6.1'), 'a test'), badNote);
  });

  it('may be broken anyhow', () => {
    const random = new Random(2012);
    const whole = vmcsinfoBytes(vmcsinfoText(HASWELL, 4));
    for (let round = 0; round < 300; round++) {
      const bytes = whole.slice();
      random.mutate(bytes, 60);
      try {
        for (const { description } of notesOfFile(bytes, 'file')) {
          for (const offset of parseVmcsinfo(description, 'file').layout.offsets.values()) assert.ok(offset < 4096);
        }
      } catch (error) {
        assert.ok(badNote(error), String(error));
      }
    }
  });
});
