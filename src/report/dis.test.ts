import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { isExhumeError } from '../bytes/errors.js';
import { openSample } from '../testing/sample.js';
import { buildDis, type Disassemble } from './dis.js';
import { publishedSchema, SCHEMAS } from './schema/index.js';
import { disText } from './text/dis.js';
import { PLAIN } from './text/page.js';

const sample = openSample();

/** Every instruction has four bytes and branches to the first. */
const fours: Disassemble = function* (code, address) {
  for (let at = 0; at < code.length; at += 4) {
    yield { length: Math.min(4, code.length - at), text: 'four', target: address, valid: true };
  }
};

test('a symbol is a whole function, an address one instruction, a count so many', () => {
  const size = sample.kernel.symbols.at(sample.kernel.symbols.address('schedule') ?? 0n)?.size ?? 0;
  const whole = buildDis(sample, 'schedule', fours);
  assert.equal(
    whole.instructions.reduce((sum, one) => sum + one.length, 0),
    size,
  );
  assert.equal(buildDis(sample, 'schedule+4', fours).instructions.length, 1);
  assert.equal(buildDis(sample, 'schedule', fours, { count: 7 }).instructions.length, 7);
  const back = buildDis(sample, 'schedule+8', fours, { reverse: true }).instructions;
  assert.deepEqual(
    back.map((one) => one.symbol),
    ['schedule', 'schedule+4', 'schedule+8'],
  );
  const rest = buildDis(sample, 'schedule+8', fours, { forward: true, radix: 16 }).instructions;
  assert.equal(rest[0]?.symbol, 'schedule+0x8');
  assert.equal(rest.length, whole.instructions.length - 2);
  assert.match([...disText(whole, PLAIN)][1] ?? '', /^0x[0-9a-f]+ <schedule\+4>:\tfour <schedule>$/);
});

test('code that is not there is an error, a count out of bounds wrong usage, and the answer is what the schema says', () => {
  assert.throws(
    () => buildDis(sample, '0', fours),
    (error) => isExhumeError(error, 'EXH_NOT_MAPPED'),
  );
  assert.throws(
    () => buildDis(sample, 'schedule', fours, { count: 0 }),
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
  assert.throws(
    () => buildDis(sample, '0', fours, { reverse: true }),
    (error) => isExhumeError(error, 'EXH_NO_SYMBOL'),
  );
  const validator = Compile(JSON.parse(publishedSchema(SCHEMAS['dis'] as object as never)) as object);
  const answer: Record<string, unknown> = JSON.parse(JSON.stringify(buildDis(sample, 'schedule', fours)));
  assert.ok(validator.Check(answer));
  assert.equal(validator.Check({ ...answer, instructions: [{}] }), false);
});
