import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Compile } from 'typebox/schema';
import { SCHEMAS } from '../report/schema/index.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { exhume } from './testing/exhume.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-kho-build-'));
after(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

const DOCUMENTATION = readFileSync(fileURLToPath(new URL('../../../docs/commands/kho.md', import.meta.url)), 'utf8');
/** The descriptions in the documentation. */
const EXAMPLES = [...DOCUMENTATION.matchAll(/^```json\n(.*?)^```/gms)].map(([, text = '']) => text);

function description(value: unknown): string {
  const path = at('description.json');
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

test('the example of the documentation builds a handover that is sound, and whose memfd comes out again', async () => {
  const [example = ''] = EXAMPLES;
  const built = await exhume('kho', 'build', description(example), '-o', at('dump'), '--json');
  assert.equal(built.status, 0, built.stderr);
  const answer = JSON.parse(built.stdout);
  const [valid, errors] = Compile(SCHEMAS['kho-built'] as object).Errors(answer);
  assert.ok(valid, JSON.stringify(errors));
  assert.deepEqual([answer.warnings, answer.output], [[], at('dump')]);
  assert.equal(
    (await exhume('kho', 'check', at('dump'))).stdout.split('\n')[1],
    '  nothing is refused, nothing is lost',
  );
  await exhume('kho', 'extract', at('dump'), 'vm/7', '-o', at('memfd'));
  assert.equal(readFileSync(at('memfd'), 'utf8'), 'hello');
});

test('the same description as a device tree builds the same bytes', async () => {
  const [, dts = ''] = /^```dts\n(.*?)^```/ms.exec(DOCUMENTATION) ?? [];
  writeFileSync(at('description.dts'), dts);
  const built = await exhume('kho', 'build', at('description.dts'), '-o', at('dts-dump'));
  assert.equal(built.status, 0, built.stderr);
  await exhume('kho', 'build', description(EXAMPLES[0]), '-o', at('dump'));
  assert.deepEqual(readFileSync(at('dts-dump')), readFileSync(at('dump')));
  writeFileSync(at('description.dts'), dts.replace('"kho-v4"', 'kho-v4'));
  const refused = await exhume('kho', 'build', at('description.dts'), '-o', at('dts-dump'));
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /description\.dts:4:12: kho stands where a value is due/);
});

test('the example with faults builds, with warnings, and check finds them', async () => {
  const built = await exhume('kho', 'build', description(EXAMPLES[1]), '-o', at('dump'));
  assert.match(built.stdout, /warning {4}users\[0\]\.reserveMem\[0\]: lies in scratch memory/);
  const { status, stdout } = await exhume('kho', 'check', at('dump'));
  assert.equal(status, 1);
  assert.match(stdout, /lost {5}preserved memory: lies in scratch memory/);
  assert.match(stdout, /lost {5}kexec-metadata: is not in the map/);
});

test('the handover of a dump is built again, and is the same', async () => {
  await exhume('kho', 'build', description(EXAMPLES[0]), '-o', at('dump'), '--tree', at('tree'));
  const again = await exhume('kho', 'build', '--from', at('dump'), '-o', at('again'), '--tree', at('again-tree'));
  assert.equal(again.status, 0, again.stderr);
  assert.deepEqual(readFileSync(at('again-tree')), readFileSync(at('tree')));
  const map = async (name: string) => (await exhume('kho', 'map', at(name))).stdout;
  assert.equal(await map('again'), await map('dump'));
  const both = await exhume('kho', 'build', description(EXAMPLES[0]), '--from', at('dump'), '-o', at('again'));
  assert.match(both.stderr, /EXH_USAGE: --from takes the place of a description/);
  const tree = await exhume('kho', 'build', '--from', at('tree'), '-o', at('none'));
  assert.match(tree.stderr, /EXH_USAGE: .* has no handover in memory/);
});

test('check looks at the command line of the kernel that is to take it', async () => {
  await exhume('kho', 'build', description(EXAMPLES[0]), '-o', at('dump'));
  const check = (line: string) => exhume('kho', 'check', at('dump'), '--command-line', line);
  assert.equal((await check('kho=on liveupdate=on reserve_mem=4M:2M:trace')).status, 0);
  const { status, stdout } = await check('kho=on liveupdate=on reserve_mem=8M:2M:trace');
  assert.equal(status, 1);
  assert.match(stdout, /lost {5}reserve_mem trace: reserve_mem= asks for 8 MiB, it has 4 MiB/);
  const show = await exhume('kho', 'show', at('dump'), '--command-line', '');
  assert.match(show.stderr, /EXH_USAGE: --command-line does not belong to show/);
});

test('a directory is as debugfs has it, a tree the same bytes', async () => {
  const path = description(EXAMPLES[0]);
  const { status } = await exhume('kho', 'build', path, '--tree', at('tree'), '--directory', at('out'));
  assert.equal(status, 0);
  assert.deepEqual(readFileSync(at('tree')), readFileSync(at('out/fdt')));
  assert.deepEqual(readdirSync(at('out/sub_fdts')).sort(), ['LUO', 'kexec-metadata', 'memblock', 'mine']);
  const { stdout } = await exhume('kho', 'show', at('out'));
  assert.match(stdout, /^outgoing handover kho-v4: .*\n {2}scratch {4}0x20000000, 16 MiB\n/);
  assert.match(stdout, /reserve-mem-v1/);
});

test('content comes from files beside the description', async () => {
  writeFileSync(at('content'), 'of a file');
  const path = description({ users: [{ name: 'a', bytes: { file: 'content', offset: 3 } }] });
  const { status, stderr } = await exhume('kho', 'build', path, '-o', at('dump'));
  assert.equal(status, 0, stderr);
  await exhume('kho', 'extract', at('dump'), 'a', '-o', at('a'));
  assert.equal(readFileSync(at('a'), 'utf8'), 'a file');
});

test('mistakes are told with their places, and nothing is written', async () => {
  const wrong = async (value: unknown, message: RegExp) => {
    const { status, stderr } = await exhume('kho', 'build', description(value), '-o', at('none'));
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
    assert.ok(!existsSync(at('none')));
  };
  await wrong('{', /EXH_USAGE: .* is no JSON/);
  await wrong({ users: [{ kind: 1 }] }, /users\[0\]: has what is not known: kind/);
  await wrong({ users: [{ tree: { '/a': { b: 1 } } }] }, /users\[0\]\.tree\["\/a"\]\.b: must be/);
  await wrong({ version: 'kho-v5' }, /version: must be equal to one of/);
  await wrong({ memory: [{ address: '0x1000', size: '8K', preserve: 'folio' }] }, /no multiple of 8192/);
  const nowhere = await exhume('kho', 'build', description({}));
  assert.match(nowhere.stderr, /EXH_USAGE: name what is to be written/);
  const show = await exhume('kho', 'show', at('tree'), '--tree', at('x'));
  assert.match(show.stderr, /EXH_USAGE: --tree does not belong to show/);
});

test('kho build --ftrace-from: the rings of the kernel in a dump, at their addresses', async () => {
  const out = join(directory, 'ftrace.elf');
  const { status, stdout, stderr } = await exhume('kho', 'build', '--ftrace-from', SAMPLE_PATH, '-o', out);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^outgoing handover kho-v1: a tree of \d+ bytes at 0x[0-9a-f]+\n/);
  assert.match(stdout, /\n {2}trace {6}CPU 0: 0 events\n {2}trace {6}CPU 1: 0 events\n/);
  const trace = await exhume('trace', out, '--formats', SAMPLE_PATH, '--list', '--json');
  assert.equal(trace.status, 0, trace.stderr);
  const { source, evidence, buffers } = JSON.parse(trace.stdout);
  assert.match(source, /^ring buffers in a kexec handover: kho-v1 of the series of 2023\/24, v3$/);
  assert.match(evidence[1], /^\d+ numbers of events, \d+ kinds found, 0 of them with another number$/);
  assert.deepEqual([buffers[0].name, buffers[0].entries, buffers[0].cpus.length], ['top', 0, 2]);
  const second = await exhume('kho', 'build', '--ftrace-from', SAMPLE_PATH, '--series', 'v2', '--tree', out, '--json');
  assert.deepEqual(JSON.parse(second.stdout).trace, [
    { cpu: 0, events: 0, lost: 0 },
    { cpu: 1, events: 0, lost: 0 },
  ]);
  assert.match((await exhume('kho', 'show', out)).stdout, /global_trace/);
  for (const [words, message] of [
    [['build'], /name a description, or a dump/],
    [['build', out, '--ftrace-from', SAMPLE_PATH], /takes the place of a description/],
    [['build', out, '--series', 'v2'], /belong to --ftrace-from/],
    [['build', '--ftrace-from', SAMPLE_PATH, '--buffer', 'nope', '-o', out], /no buffer nope/],
    [['show', out, '--series', 'v2'], /--series does not belong to show/],
    [['show'], /name what to show/],
  ] as const) {
    const refused = await exhume('kho', ...words);
    assert.deepEqual([refused.status, message.test(refused.stderr)], [2, true], refused.stderr);
  }
});
