import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadDisassembler } from './disassembler.js';

const AT = 0xffffffff81a114f0n;

async function disassembled(
  hexadecimal: string,
): Promise<[text: string, target: bigint | undefined, length: number][]> {
  const disassemble = await loadDisassembler();
  const code = Uint8Array.from(Buffer.from(hexadecimal, 'hex'));
  return [...disassemble(code, AT)].map(({ text, target, length }) => [text, target, length]);
}

test('instructions are written as binutils does', async () => {
  // The words of crash's dis, for the same bytes.
  assert.deepEqual(await disassembled('0f1f440000'), [['nopl   0x0(%rax,%rax,1)', undefined, 5]]);
  assert.deepEqual(await disassembled('65488b1c2580fb0100'), [['mov    %gs:0x1fb80,%rbx', undefined, 9]]);
  assert.deepEqual((await disassembled('f3ab'))[0]?.[0], 'rep stos %eax,%es:(%rdi)');
  assert.deepEqual(await disassembled('85c0742c'), [
    ['test   %eax,%eax', undefined, 2],
    ['je     0xffffffff81a11520', AT + 0x30n, 2],
  ]);
});

test('targets: branches, addresses relative to the instruction, none of indirect branches', async () => {
  assert.deepEqual(await disassembled('e800000000'), [['call   0xffffffff81a114f5', AT + 5n, 5]]);
  const [relative] = await disassembled('488b0510000000');
  assert.equal(relative?.[1], AT + 7n + 0x10n);
  assert.match(relative?.[0] ?? '', /^mov +0x10\(%rip\),%rax$/);
  assert.equal((await disassembled('ffd0'))[0]?.[1], undefined);
});

test('bytes that are no instruction are told, and decoding goes on', async () => {
  const [bad, next] = await disassembled('0690');
  assert.equal(bad?.[0], '(bad)');
  assert.equal(next?.[0], 'nop');
});
