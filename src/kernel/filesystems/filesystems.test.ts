import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { readTasks } from '../tasks/task-list.js';
import type { Struct } from '../types/struct.js';
import { directoriesOf, kindOf, openFiles, rootOf } from './files.js';
import { deviceNumber, readMounts } from './mounts.js';
import { PathBuilder, pathText } from './paths.js';

const sample = new KernelView(openSample().kernel);

/** The first process. */
function init(view: KernelView): Struct {
  const task = readTasks(view).tasks.find(({ pid }) => pid === 1);
  assert.ok(task);
  return view.struct('task_struct', task.address);
}

function mountsOf(view: KernelView, damage: Damage[]) {
  const task = init(view);
  const namespace = task.follow('nsproxy')?.follow('mnt_ns');
  assert.ok(namespace);
  return readMounts(view, namespace, rootOf(new PathBuilder(view), task), damage);
}

test('mounts are those that the guest printed, and the one below its root that it could not see', () => {
  const damage: Damage[] = [];
  const mounts = mountsOf(sample, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    mounts.map(({ device, directory, type, options, seenAt }) =>
      [device, directory, type, options.join(','), seenAt ?? 'unseen'].join(' '),
    ),
    [
      'nullfs / nullfs rw unseen',
      'rootfs / rootfs rw /',
      'proc /proc proc rw,relatime /proc',
      'sysfs /sys sysfs rw,relatime /sys',
      'devtmpfs /dev devtmpfs rw,relatime /dev',
    ],
  );
  assert.ok(mounts.slice(1).every(({ id, parentId }) => id > 0 && parentId > 0));
});

test('open files come with their kinds and paths', () => {
  const damage: Damage[] = [];
  const task = init(sample);
  assert.deepEqual(
    openFiles(sample, task, damage).map(({ descriptor, kind, path }) => `${descriptor} ${kind} ${path}`),
    ['0 CHR /dev/console', '1 REG /proc/sysrq-trigger', '2 CHR /dev/console', '10 REG /init', '11 CHR /dev/console'],
  );
  assert.deepEqual(directoriesOf(sample, task, damage), { root: '/', workingDirectory: '/' });
  assert.deepEqual(damage, []);
});

test('a kernel thread has no files', () => {
  const damage: Damage[] = [];
  const thread = readTasks(sample).tasks.find(({ pid }) => pid === 2);
  assert.ok(thread);
  assert.deepEqual(openFiles(sample, sample.struct('task_struct', thread.address), damage), []);
  assert.deepEqual(damage, []);
});

test('a file that was removed is marked, and a name told from a root that is elsewhere is not reachable', () => {
  const { view, write } = damagedView();
  const file = openFiles(view, init(view), []).find(({ path }) => path === '/init');
  assert.ok(file);
  const dentry = view.struct('dentry', file.dentry);
  write(dentry.addressOf('d_hash.pprev'), 0n);
  const again = openFiles(view, init(view), []).find(({ descriptor }) => descriptor === file.descriptor);
  assert.equal(again?.path, '/init (deleted)');
  const paths = new PathBuilder(view);
  const place = paths.place(file.file, 'f_path');
  assert.ok(place);
  assert.equal(paths.name(place, { dentry, mount: undefined }).reachable, false);
});

test('dentries that go round in a circle cost one path, not the others', () => {
  const { view, write } = damagedView();
  const [console] = openFiles(view, init(view), []);
  assert.equal(console?.path, '/dev/console');
  const dentry = view.struct('dentry', console.dentry);
  const above = dentry.pointer('d_parent');
  const child = view.struct('dentry', above);
  write(child.addressOf('d_parent'), dentry.address);
  // The directory is its mount's root: make it an ordinary one.
  const mount = new PathBuilder(view).place(console.file, 'f_path')?.mount;
  assert.ok(mount);
  write(mount.addressOf('mnt.mnt_root'), 1n);
  const damage: Damage[] = [];
  const files = openFiles(view, init(view), damage);
  assert.deepEqual(
    files.map(({ path }) => path),
    ['', '/proc/sysrq-trigger', '', '/init', ''],
  );
  assert.deepEqual(
    damage.map(({ code }) => code),
    ['EXH_BAD_STRUCTURE'],
  );
});

test('a file whose page was filtered out is damage, and the others are there', () => {
  const { view, write } = damagedView();
  const task = init(view);
  const table = task.follow('files')?.follow('fdt');
  assert.ok(table);
  write(table.pointer('fd') + 80n, 0xffff_8880_dead_0000n);
  const damage: Damage[] = [];
  assert.deepEqual(
    openFiles(view, task, damage).map(({ descriptor }) => descriptor),
    [0, 1, 2, 11],
  );
  assert.equal(damage.length, 1);
  assert.equal(damage[0]?.part, 'files of task 1');
});

test('a tree of mounts with a wild pointer gives the rest', () => {
  const { view, write } = damagedView();
  const all = mountsOf(view, []);
  const last = all.at(-1);
  assert.ok(last);
  write(view.struct('mount', last.address).addressOf('mnt.mnt_sb'), 0x10n);
  const damage: Damage[] = [];
  assert.deepEqual(
    mountsOf(view, damage).map(({ address }) => address),
    all.slice(0, -1).map(({ address }) => address),
  );
  assert.equal(damage[0]?.part, 'mounts');
});

test('modes and device numbers are told as ls does', () => {
  assert.deepEqual([0o100644, 0o040755, 0o020600, 0o060660, 0o010600, 0o140777, 0o120777, 0].map(kindOf), [
    'REG',
    'DIR',
    'CHR',
    'BLK',
    'FIFO',
    'SOCK',
    'LNK',
    'UNKN',
  ]);
  assert.equal(deviceNumber((259 << 20) | 3), '259:3');
  assert.equal(pathText({ path: '/a', deleted: true, reachable: true }), '/a (deleted)');
});
