import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDumpFiles } from '../dump/node.js';
import { HASWELL } from '../hypervisor/control/layouts/intel.js';
import { writeVmcs } from '../hypervisor/control/testing/node.js';
import { vmcsinfoBytes, vmcsinfoText } from '../hypervisor/control/vmcsinfo.js';
import type { ControlReport } from '../report/schema/control.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { runCommandLine } from './program.js';
import { EXIT } from './status.js';

const FIXTURES = fileURLToPath(new URL('../../../src/hypervisor/control/fixtures/', import.meta.url));
const VMCS = join(FIXTURES, 'vmcs_bochs27_rev2b_linux61.bin');
const directory = mkdtempSync(join(tmpdir(), 'exhume-control-'));
after(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runCommandLine(args, {
    stdout: { write: (text: string) => out.push(text) > 0 },
    stderr: { write: (text: string) => err.push(text) > 0 },
    environment: {},
  });
  return { status, out: out.join(''), err: err.join('') };
}

test('a page in a file is shown field by field', async () => {
  const { status, out } = await run('guests', '--vmcs', VMCS);
  assert.equal(status, EXIT.answered);
  assert.match(out, /^VMCS at .* {2}Bochs 2\.7$/m);
  assert.match(out, /^0e88 {2}681e {2}GUEST_RIP +ffffffff81a592ea$/m);
  assert.match(out, /GUEST_CS_AR_BYTES +0000a09b {2}code DPL 0 P L G$/m);
  const json = await run('guests', '--vmcs', VMCS, '--json');
  const report: ControlReport = JSON.parse(json.out);
  assert.equal(report.schema, 'exhume-control/1');
  assert.deepEqual(report.fields.find(({ name }) => name === 'VM_EXIT_REASON')?.names, ['HLT']);
});

test('a layout that is not known is told by a note', async () => {
  const moved = new Map([...HASWELL.offsets].map(([encoding, offset]) => [encoding, offset + 64]));
  const layout = { ...HASWELL, name: 'unknown', offsets: moved };
  const page = join(directory, 'page');
  const note = join(directory, 'note');
  writeFileSync(page, writeVmcs(layout));
  const refused = await run('guests', '--vmcs', page);
  assert.equal(refused.status, EXIT.failed);
  assert.match(refused.err, /EXH_NO_LAYOUT/);
  for (const form of [vmcsinfoBytes(vmcsinfoText(layout, 4)), vmcsinfoText(layout, 4)]) {
    writeFileSync(note, form);
    const told = await run('guests', '--vmcs', page, '--vmcsinfo', note);
    assert.equal(told.status, EXIT.answered);
    assert.match(told.out, /VMCSINFO/);
    assert.match(told.out, /GUEST_RIP +ffffffff81a592ea$/m);
  }
});

test('a page of a dump that is no control structure is said to be none', async () => {
  const { status, err } = await run('guests', SAMPLE_PATH, '--vmcs', '0x1000000');
  assert.notEqual(status, EXIT.answered);
  assert.match(err, /EXH_(NO_LAYOUT|PAGE_\w+)/);
  assert.match((await run('guests', SAMPLE_PATH, '--vmcs', 'web1')).err, /EXH_USAGE: web1 is no physical address/);
  assert.equal((await run('guests')).status, EXIT.usage);
});

test('a layout is derived from what is there, and the forms of it are asked for rightly', async () => {
  const { status, err } = await run('guests', SAMPLE_PATH, '--solve');
  assert.equal(status, EXIT.failed);
  assert.match(err, /EXH_NO_GUEST: there is no vCPU with a VMCS/);
  assert.match((await run('guests', SAMPLE_PATH, '--solve', '--as', 'note')).err, /EXH_USAGE: name the file to write/);
  assert.match((await run('guests', SAMPLE_PATH, '--as', 'row')).err, /EXH_USAGE: --as is for what --solve derives/);
  assert.equal((await run('guests', SAMPLE_PATH, '--solve', '--as', 'json')).status, EXIT.usage);
});

test('convert --add-note puts a note into a dump, in the place of one of the same name', async () => {
  const note = join(directory, 'vmcsinfo');
  let input: string = SAMPLE_PATH;
  for (const revision of [4, 5]) {
    const text = vmcsinfoText(HASWELL, revision);
    writeFileSync(note, vmcsinfoBytes(text));
    const output = join(directory, `dump.${revision}`);
    const { status, err } = await run('convert', input, output, '--add-note', note, '--progress', 'none');
    assert.equal(status, EXIT.answered, err);
    const notes = openDumpFiles([output]).notes.filter(({ name }) => name === 'VMCSINFO');
    assert.deepEqual(
      notes.map(({ description }) => Buffer.from(description).toString()),
      [text],
    );
    input = output;
  }
  writeFileSync(note, readFileSync(VMCS));
  assert.match((await run('convert', SAMPLE_PATH, join(directory, 'no'), '--add-note', note)).err, /EXH_BAD_NOTE/);
});
