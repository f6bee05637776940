/** exhume on the kernel that it runs on: the lab's guests ran it, with the build that is tested here. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { InfoReport } from '../../src/report/schema/info.js';
import type { Report } from '../../src/report/schema/report.js';
import type { VtopReport } from '../../src/report/schema/vtop.js';
import { sceneDirectory } from '../directories.js';
import { lockLab } from '../lock.js';
import { SCENES } from '../scenes.js';
import { makeScene } from '../stage.js';
import type { Truth } from '../truth.js';
import { present } from './support.js';

/** Once: the lock is kept until this process ends. */
let locked: Promise<void> | undefined;

for (const scene of SCENES.filter(({ ending }) => ending === 'live')) {
  const directory = sceneDirectory(scene.name);
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
  /** What the guest's exhume answered. */
  const answer = <T>(name: string): T => JSON.parse(read(`live-${name}`));
  const status = (name: string): number => Number(read(`live-${name}.status`));
  const error = (name: string): string => read(`live-${name}.err`);
  const truth = (): Truth => JSON.parse(read('truth.json'));

  describe(`${scene.name}: /proc/kcore`, () => {
    before(async () => {
      assert.ok(existsSync(directory), `scene ${scene.name} is missing: npm run lab`);
      // Old answers are those of another exhume.
      locked ??= lockLab();
      await locked;
      await makeScene(scene, false);
    });

    test('the report names the kernel and where it was loaded, and says that it runs', () => {
      const report = answer<Report>('report');
      const kernel = present(report.kernel);
      assert.equal(status('report'), 0, error('report'));
      assert.deepEqual(report.damage, []);
      assert.equal(report.file.live, true);
      assert.equal(kernel.role, 'running');
      assert.equal(kernel.release, truth().kernelRelease);
      assert.equal(kernel.banner, truth().kernelVersion);
      assert.equal(kernel.commandLine, read('cmdline').trim());
      assert.equal(kernel.kaslrOffset, truth().kernelOffset);
      assert.equal(kernel.physBase, truth().physBase);
      assert.equal(kernel.pageTableLevels, truth().fiveLevelPaging ? 5 : 4);
      assert.equal(report.kernels.length, 1);
    });

    test('it did not crash, and is as old as the guest says', () => {
      const { headline, crash } = answer<Report>('report');
      const { kind, panicMessage, uptime } = present(crash);
      assert.deepEqual([kind, panicMessage], ['none', null]);
      assert.match(headline, /is running; nothing in it says that it crashed/);
      const [from, to] = ['before', 'after'].map((when) => Number(read(`live-uptime-${when}`).split(' ')[0]));
      // The timekeeper counts whole seconds.
      assert.ok(uptime !== null && from !== undefined && to !== undefined);
      assert.ok(uptime >= Math.floor(from) && uptime <= to, `${from} <= ${uptime} <= ${to}`);
    });

    test('the log goes on from what dmesg said before, and dmesg goes on from it', () => {
      const log = read('live-log');
      assert.equal(status('log'), 0, error('log'));
      assert.ok(log.startsWith(read('live-dmesg-before').trimEnd()), 'it begins with all that there was');
      assert.ok(read('live-dmesg-after').startsWith(log.trimEnd()), 'it has nothing that dmesg has not');
    });

    test("the symbols are the guest's /proc/kallsyms, line by line", () => {
      assert.equal(status('sym'), 0, error('sym'));
      // Not assert.equal, whose message on 180,000 lines takes minutes.
      assert.ok(read('live-sym') === read('kallsyms'), 'live-sym and kallsyms differ');
    });

    test('memory is read by virtual address, and its place is where the page tables say', () => {
      assert.equal(status('rd'), 0, error('rd'));
      assert.ok(read('live-rd').includes(truth().kernelVersion ?? '?'));
      const [walk] = answer<VtopReport>('vtop').translations;
      const address = read('kallsyms').match(/^([0-9a-f]+) \w linux_banner$/m)?.[1];
      assert.equal(walk?.virtual, `0x${address}`);
      assert.equal(walk?.page, 'present');
      const offset = BigInt(walk?.virtual ?? 0) - BigInt(walk?.physical ?? 0);
      assert.equal(offset, 0xffffffff80000000n - BigInt.asIntN(64, physBase(truth())));
    });

    test('there are no registers, and the answer says why', () => {
      assert.equal(status('regs'), 1);
      const { cpus, damage } = answer<{ cpus: unknown[]; damage: { message: string }[] }>('regs');
      assert.deepEqual(cpus, []);
      assert.match(damage[0]?.message ?? '', /a running kernel keeps no registers/);
    });

    test("VMCOREINFO is the kernel's own", () => {
      assert.equal(status('info'), 0, error('info'));
      const keys = answer<InfoReport>('info').vmcoreinfo;
      const lines = read('vmcoreinfo').trim().split('\n');
      assert.deepEqual(
        present(keys).map(({ key, value }) => `${key}=${value}`),
        lines,
      );
    });

    test('nothing is kept: a variable read twice has changed', () => {
      assert.equal(status('watch'), 0, error('watch'));
      const seen = answer<string[]>('watch').map(BigInt);
      assert.equal(seen.length, 3);
      assert.ok(
        seen.every((value, index) => index === 0 || value > (seen[index - 1] ?? value)),
        `jiffies ${seen.join(', ')}`,
      );
    });

    test('a link to it is refused: it is read only when it is named', () => {
      assert.equal(status('link'), 2);
      assert.match(error('link'), /EXH_USAGE: .*memory of the running kernel\n +name \/proc\/kcore itself/);
    });

    for (const [name, reason, hint] of [
      ['unprivileged', 'EPERM', /CAP_SYS_RAWIO/],
      ['user', 'EACCES', /needs root/],
      ['lockdown', 'EPERM', /locked down/],
      ['missing', 'ENOENT', /CONFIG_PROC_KCORE/],
    ] as const) {
      test(`refused (${name}): the error says what it takes`, () => {
        assert.equal(status(name), 4);
        const [first, second] = error(name).split('\n');
        assert.ok(first?.startsWith(`exhume: EXH_IO: /proc/kcore: cannot open: ${reason}`), first);
        assert.match(second ?? '', hint);
      });
    }
  });
}

/** With its sign. */
function physBase({ physBase: told }: Truth): bigint {
  const [, sign, digits] = /^(-?)(0x[0-9a-f]+)$/.exec(told ?? '') ?? [];
  assert.ok(digits);
  return BigInt(digits) * (sign === '-' ? -1n : 1n);
}
