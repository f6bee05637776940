import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { openSample, SAMPLE_PATH } from '../../testing/sample.js';
import { buildInfo } from '../info.js';
import { buildLog } from '../log.js';
import { buildRd } from '../rd.js';
import { buildRegs } from '../regs.js';
import { buildReport, buildSignature } from '../report.js';
import type { Subject } from '../subject.js';
import { buildSym, buildSymbolList } from '../sym.js';
import { buildVtop } from '../vtop.js';
import { SCHEMAS } from './index.js';

const sample: Subject = openSample();
const absent = { absent: 'no kernel', code: 'EXH_NO_KERNEL', hint: null } as const;
const noKernel: Subject = { ...sample, kernel: absent, search: { kernels: [], evidence: [] } };
const nothing: Subject = { ...noKernel, machine: { ...absent, code: 'EXH_UNKNOWN_ARCHITECTURE' } };
const bytes = readFileSync(SAMPLE_PATH).length;

const outputs: [name: keyof typeof SCHEMAS, what: string, output: unknown][] = [
  ['report', 'the sample', buildReport(sample, { bytes, logLines: 20 })],
  ['report', 'no kernel', buildReport(noKernel, { bytes, logLines: 20 })],
  ['report', 'nothing but a file', buildReport(nothing, { bytes, logLines: 20 })],
  ['signature', 'the sample', buildSignature(sample)],
  ['signature', 'no kernel', buildSignature(noKernel)],
  ['info', 'the sample', buildInfo(sample, { bytes })],
  ['info', 'field by field', buildInfo(sample, { bytes, raw: true })],
  ['info', 'nothing but a file', buildInfo(nothing, { bytes })],
  ['log', 'the sample', buildLog(sample).model],
  ['regs', 'the sample', buildRegs(sample)],
  ['regs', 'no kernel', buildRegs(noKernel)],
  ['sym', 'names and addresses', buildSym(sample, ['jiffies', 'schedule+4', 'nosuch'])],
  ['sym', 'a list', buildSymbolList(sample, '^panic')],
  ['vtop', 'mapped and not mapped', buildVtop(sample, ['init_task', '0'])],
  ['rd', 'words', buildRd(sample, 'jiffies', { space: 'kernel', unit: 64, count: 4, symbols: true })],
  ['rd', 'not mapped', buildRd(sample, '0', { space: 'kernel', unit: 8 })],
  ['rd', 'a text', buildRd(sample, 'linux_banner', { space: 'kernel', unit: 8, string: true })],
];

for (const [name, what, output] of outputs) {
  test(`${name}: ${what}: is what the published schema says, and has no field that it does not`, () => {
    const published = JSON.parse(
      readFileSync(new URL(`../../../../schemas/${name}.schema.json`, import.meta.url), 'utf8'),
    );
    const validator = Compile(closed(published) as object);
    const json = JSON.parse(JSON.stringify(output));
    const [valid, errors] = validator.Errors(json);
    assert.ok(valid, JSON.stringify(errors, null, 2));
    assert.deepEqual(json, output, 'JSON loses something of the model');
  });
}

test('a schema refuses what is wrong', () => {
  const validator = Compile(closed(JSON.parse(JSON.stringify(SCHEMAS['rd']))) as object);
  const right = buildRd(sample, 'jiffies', { space: 'kernel', unit: 64 });
  assert.equal(validator.Check(right), true);
  assert.equal(validator.Check({ ...right, schema: 'exhume-rd/2' }), false);
  assert.equal(validator.Check({ ...right, address: 4096 }), false);
  assert.equal(validator.Check({ ...right, more: 1 }), false);
});

/** Published schemas are open, so that fields can be added; here none may be that the schema does not tell. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => [key, closed(value)]);
  const all = Object.fromEntries(entries);
  return all.type === 'object' && all.properties !== undefined ? { ...all, additionalProperties: false } : all;
}
