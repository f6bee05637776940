import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { isExhumeError } from '../bytes/errors.js';
import { openSample } from '../testing/sample.js';
import { buildList } from './list.js';
import { buildP } from './p.js';
import { publishedSchema, SCHEMAS } from './schema/index.js';
import { buildSearch } from './search.js';
import { buildStruct, buildWhatis } from './struct.js';
import type { Subject } from './subject.js';
import { listText, treeText } from './text/list.js';
import { pText } from './text/p.js';
import { PLAIN } from './text/page.js';
import { structText } from './text/struct.js';
import { buildTree } from './tree.js';

const subject: Subject = openSample();

const refused = (code: 'EXH_USAGE' | 'EXH_NO_LAYOUT' | 'EXH_NO_SYMBOL') => (error: unknown) =>
  isExhumeError(error, code);

function p(expression: string, type?: string): string {
  return [...pText(buildP(subject, expression, { type }), PLAIN)].join('\n');
}

test('a definition is what C says, with offsets as crash shows them', () => {
  const list = buildStruct(subject, 'struct list_head');
  assert.deepEqual(
    [...structText(list, PLAIN)],
    ['struct list_head {', '    struct list_head *next;', '    struct list_head *prev;', '}', 'SIZE: 16'],
  );
  assert.deepEqual([...structText(list, { ...PLAIN, offsets: true })].slice(1, 3), [
    '   [0] struct list_head *next;',
    '   [8] struct list_head *prev;',
  ]);
  const work = [...structText(buildStruct(subject, 'timer_list'), PLAIN)];
  assert.ok(work.includes('    void (*function)(struct timer_list *);'), work.join('\n'));
  const page = [...structText(buildStruct(subject, 'page'), { ...PLAIN, offsets: true })];
  assert.ok(page.includes('   [8]             struct list_head lru;'), page.join('\n'));
});

test('holes, padding and bit fields have their places', () => {
  const { definition } = buildStruct(subject, 'timekeeper');
  const members = definition?.members ?? [];
  const total = members.reduce((sum, member) => sum + member.size + member.hole, 0) + (definition?.padding ?? 0);
  assert.equal(total, definition?.size);
  assert.ok(members.some((member) => member.hole > 0));
  const task = buildStruct(subject, 'task_struct.in_execve').definition?.members?.[0];
  assert.equal(task?.bits?.size, 1);
  assert.match(task?.declaration ?? '', / : 1$/);
});

test('whatis tells functions, per-CPU variables, typedefs and enumerations', () => {
  const text = (name: string): string => [...structText(buildWhatis(subject, name), PLAIN)].join('\n');
  assert.match(text('panic'), /^void panic\(const char \*, \.\.\.\);/);
  assert.match(text('runqueues'), /^struct rq runqueues;/);
  assert.equal(text('gfp_t'), 'typedef unsigned int gfp_t;\nSIZE: 4');
  assert.match(text('enum pid_type'), /^enum pid_type \{\n {2}PIDTYPE_PID = 0\n {2}PIDTYPE_TGID = 1\n/);
  assert.throws(() => text('no_such_type'), refused('EXH_NO_LAYOUT'));
});

test('values are what the kernel has, in the words of crash', () => {
  const task = buildStruct(subject, 'task_struct', { at: 'init_task' }).objects[0]?.value;
  const member = (name: string) => task?.members?.find((one) => one.name === name);
  assert.equal(member('comm')?.value, 'swapper/0');
  assert.equal(member('comm')?.text, '"swapper/0\\000\\000\\000\\000\\000\\000"');
  assert.match(member('real_parent')?.text ?? '', /^0x[0-9a-f]+ <init_task>$/);
  assert.equal(member('se')?.kind, 'struct');
  const selected = buildStruct(subject, 'task_struct.comm,se.load.weight', { at: 'init_task', radix: 16 });
  assert.deepEqual(
    selected.objects[0]?.value.members?.map((one) => one.value),
    ['swapper/0', '0x100000'],
  );
  const cpus = buildStruct(subject, 'rq.cpu', { at: 'runqueues:a' });
  assert.deepEqual(
    [...structText(cpus, PLAIN)].filter((line) => line.includes('cpu =')),
    ['  cpu = 0,', '  cpu = 1,'],
  );
});

test('-l finds the structure from a member, and counts go both ways', () => {
  const tasks = buildP(subject, '&init_task.tasks').objects[0]?.value.value ?? '';
  const found = buildStruct(subject, 'task_struct.pid', { at: tasks, offset: 'tasks' }).objects[0];
  assert.match(found?.symbol ?? '', /^init_task\+0x0\//);
  const two = buildStruct(subject, 'list_head', { at: tasks, count: -2 }).objects;
  assert.equal(two[1]?.address, tasks);
  assert.equal(BigInt(tasks) - BigInt(two[0]?.address ?? 0), 16n);
  assert.throws(() => buildStruct(subject, 'list_head', { at: tasks, count: 0 }), refused('EXH_USAGE'));
});

test('members in memory that is not there are told one by one', () => {
  // The last page below the end of what is mapped: the start of the structure is there, the rest is not.
  const { kernel } = openSample();
  const [mapping] = kernel.pageTable.mappings(kernel.directMap ?? (0n as never), ((1n << 64n) - 1n) as never);
  assert.ok(mapping);
  let end = mapping.virtual + BigInt(mapping.size);
  while (kernel.memory.translate(end as never) !== undefined) end += 4096n;
  const at = `0x${(end - 8n).toString(16)}`;
  try {
    const report = buildStruct(subject, 'list_head', { at });
    const members = report.objects[0]?.value.members ?? [];
    assert.deepEqual(
      members.map((member) => member.kind),
      ['pointer', 'missing'],
    );
    assert.equal(report.complete, false);
  } catch (error) {
    assert.fail(String(error));
  }
  assert.equal(buildStruct(subject, 'list_head', { at: '0' }).objects[0]?.value.kind, 'missing');
});

test('p follows members, pointers, elements, casts and CPUs', () => {
  assert.equal(p('init_task.comm'), 'init_task.comm = "swapper/0\\000\\000\\000\\000\\000\\000"');
  assert.equal(p('init_task.real_parent->pid'), 'init_task.real_parent->pid = 0');
  assert.equal(p('runqueues:1.cpu'), 'per_cpu(runqueues.cpu, 1) = 1');
  assert.equal(p('((struct task_struct *)&init_task)->prio'), '((struct task_struct *)&init_task)->prio = 120');
  assert.equal(p('init_task.cpus_mask.bits[0]'), 'init_task.cpus_mask.bits[0] = 1');
  assert.equal(p('*init_task.real_parent').split('\n')[0], '*init_task.real_parent = {');
  assert.match(p('nr_cpu_ids'), /^nr_cpu_ids = 2\n\(the kernel does not tell the type/);
  assert.equal(p('nr_cpu_ids', 'unsigned int'), 'nr_cpu_ids = 2');
  assert.equal(p('system_state'), 'system_state = SYSTEM_RUNNING');
});

test('p refuses what is no expression, and says what would be one', () => {
  for (const wrong of [
    '',
    'init_task.',
    'init_task..comm',
    'a + b',
    '(((',
    'init_task->pid',
    '*init_task.pid',
    'runqueues',
  ]) {
    assert.throws(
      () => p(wrong),
      (error) => isExhumeError(error),
      `"${wrong}"`,
    );
  }
  assert.throws(() => p('runqueues'), refused('EXH_USAGE'));
  assert.throws(() => p('no_such_symbol'), refused('EXH_NO_SYMBOL'));
  assert.throws(() => p('init_task.no_such'), refused('EXH_NO_LAYOUT'));
  const wild = buildP(subject, 'init_task.mm->pgd');
  assert.deepEqual(
    [wild.objects[0]?.value.kind, wild.complete, wild.damage[0]?.code],
    ['missing', false, 'EXH_NOT_MAPPED'],
  );
});

test('a list from a structure, from a head, backwards, and to an end', () => {
  const show = ['task_struct.pid'];
  const tasks = buildList(subject, 'init_task', { from: 'structure', offset: 'task_struct.tasks', show });
  assert.equal(tasks.ended, 'head');
  const pids = tasks.entries.map((entry) => Number(entry.values[0]?.value.members?.[0]?.value));
  assert.deepEqual(pids.slice(0, 3), [0, 1, 2]);
  const headless = buildList(subject, 'init_task.tasks', { from: 'head', offset: 'task_struct.tasks', show });
  assert.equal(headless.entries.length, tasks.entries.length - 1);
  const back = buildList(subject, 'init_task.tasks', { from: 'head', reverse: true });
  assert.equal(back.entries.length, headless.entries.length);
  const [, second, third] = tasks.entries;
  const cut = buildList(subject, second?.address ?? '', {
    from: 'structure',
    offset: 'task_struct.tasks',
    end: third?.address,
  });
  assert.deepEqual([cut.entries.length, cut.ended], [1, 'end']);
  assert.match(
    [...listText(tasks, PLAIN)].slice(0, 4).join('\n'),
    /^[0-9a-f]{16}\n {2}pid = 0,\n[0-9a-f]{16}\n {2}pid = 1,$/,
  );
});

test('a list that leads nowhere is shown to there', () => {
  const list = buildList(subject, 'linux_banner', { from: 'entry' });
  assert.deepEqual([list.ended, list.complete, list.entries.length], ['damaged', false, 2]);
});

test('trees of every kind', () => {
  const pids = buildTree(subject, 'init_pid_ns.idr', { type: 'idr', show: ['pid.level'] });
  assert.equal(pids.entries[0]?.index, '0x1');
  assert.equal(pids.entries[0]?.values[0]?.value.members?.[0]?.value, '0');
  const ranges = buildTree(subject, 'sparse_irqs', { type: 'maple', show: ['irq_desc.irq_data.irq'] });
  assert.ok(ranges.entries.length > 16 && ranges.entries.every((entry) => entry.index === entry.last));
  assert.ok([...treeText(ranges, PLAIN)].length > 32);
  const names = buildTree(subject, '(struct kernfs_node *)sysfs_root_kn', {
    type: 'rbtree',
    rootOffset: 'kernfs_node.dir.children',
    offset: 'kernfs_node.rb',
    show: ['kernfs_node.name'],
  });
  const texts = names.entries.map((entry) => entry.values[0]?.value.members?.[0]?.text ?? '');
  assert.ok(texts.some((text) => text.endsWith('"kernel"')) && texts.length === 11, texts.join());
});

test('a search finds values by width and mask, and texts across pages', () => {
  const kernel = openSample().kernel;
  const init = kernel.symbols.address('init_task') ?? 0n;
  const found = buildSearch(subject, ['init_task'], { space: 'kernel', unit: 64 });
  assert.ok(found.matches.length > 5);
  for (const { address } of found.matches) assert.equal(kernel.memory.u64(BigInt(address)), init);
  const masked = buildSearch(subject, ['init_task'], { space: 'kernel', unit: 64, mask: 'fff' });
  assert.ok(masked.matches.length > found.matches.length);
  const start = 'linux_banner';
  const banner = buildSearch(subject, ['Linux version'], { space: 'kernel', unit: 'text', start, length: 64 });
  assert.match(banner.matches[0]?.symbol ?? '', /^linux_banner\+0x0\//);
  assert.equal(banner.matches[0]?.value.slice(0, 13), 'Linux version');
  const one = buildSearch(subject, ['0'], { space: 'physical', unit: 16, limit: 3 });
  assert.deepEqual([one.matches.length, one.truncated, one.complete], [3, true, false]);
  assert.throws(() => buildSearch(subject, ['10000'], { space: 'kernel', unit: 16 }), refused('EXH_USAGE'));
});

test('the schema of values holds for members of members', () => {
  const schema = SCHEMAS['p'];
  assert.ok(schema);
  const validator = Compile(JSON.parse(publishedSchema(schema)) as object);
  const json = JSON.stringify(buildP(subject, 'init_task'));
  assert.equal(validator.Check(JSON.parse(json)), true);
  assert.equal(
    validator.Check(JSON.parse(json.replace('"name":"weight","kind":"integer"', '"name":"weight","kind":"x"'))),
    false,
  );
});

const documents: [keyof typeof SCHEMAS, unknown][] = [
  ['struct', buildStruct(subject, 'page')],
  ['struct', buildStruct(subject, 'rq', { at: 'runqueues:0' })],
  ['struct', buildWhatis(subject, 'enum pid_type')],
  ['p', buildP(subject, 'init_task')],
  ['list', buildList(subject, 'modules', { from: 'head', offset: 'module.list', show: ['module.name'] })],
  ['tree', buildTree(subject, 'sparse_irqs', { type: 'maple' })],
  ['search', buildSearch(subject, ['init_task'], { space: 'kernel', unit: 64, limit: 5 })],
];

for (const [name, document] of documents) {
  test(`${name}: the answer is what the schema says`, () => {
    const schema = SCHEMAS[name];
    assert.ok(schema);
    const validator = Compile(JSON.parse(publishedSchema(schema)) as object);
    const json: Record<string, unknown> = JSON.parse(JSON.stringify(document));
    const [valid, errors] = validator.Errors(json);
    assert.ok(valid, JSON.stringify(errors).slice(0, 500));
    assert.deepEqual(json, document);
    assert.equal(validator.Check({ ...json, damage: 1 }), false);
  });
}
