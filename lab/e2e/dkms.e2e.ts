/** DKMS builds and installs our driver for a kernel, as a distribution does with each new one. */

import assert from 'node:assert/strict';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { labPath } from '../directories.js';
import { builderFor, DRIVERS, kernelHeaders } from '../guest.js';
import { type KernelName, kernel } from '../kernels.js';
import { run } from '../shell.js';

const NAME = 'virtio-pstore';

for (const name of ['6.1', '7.2'] as const satisfies readonly KernelName[]) {
  test(`DKMS adds, builds, installs and removes the driver for ${name}`, () => {
    const { release } = kernel(name);
    const headers = kernelHeaders(name);
    const directory = labPath('scratch', `dkms-${name}`);
    // What a test that was killed left behind.
    rmSync(directory, { recursive: true });
    const [tree, sources, modules] = ['tree', 'sources', 'modules'].map((part) =>
      labPath('scratch', `dkms-${name}`, part),
    ) as [string, string, string];
    // It wants the kernel's own directory to be there.
    labPath('scratch', `dkms-${name}`, 'modules', release);
    const dkms = (...args: readonly string[]): string => {
      const places = ['--dkmstree', tree, '--sourcetree', sources, '--installtree', modules];
      const { command, args: all } = builderFor(name, directory, 'dkms', [...args, ...places]);
      return run(command, all).stdout;
    };
    try {
      const source = join(directory, NAME);
      cpSync(join(DRIVERS, 'virtio-pstore'), source, { recursive: true });
      const version = /^PACKAGE_VERSION="(.*)"$/m.exec(run('cat', [join(source, 'dkms.conf')]).stdout)?.[1];
      const module = [`${NAME}/${version}`, '-k', release];
      dkms('add', source);
      dkms('build', ...module, '--kernelsourcedir', headers);
      dkms('install', ...module, '--kernelsourcedir', headers, '--no-depmod');
      assert.ok(dkms('status').includes(`${NAME}/${version}, ${release}, x86_64: installed`));
      const installed = join(modules, release, 'updates/dkms');
      const [file = assert.fail('nothing is installed')] = run('ls', [installed]).stdout.split('\n');
      assert.match(file, /^virtio_pstore\.ko(\.\w+)?$/);
      const path = join(installed, file);
      assert.ok(run('modinfo', ['-F', 'vermagic', path]).stdout.startsWith(`${release} `));
      assert.match(run('modinfo', ['-F', 'alias', path]).stdout, /^virtio:d00000016v\*$/m);
      dkms('remove', ...module);
      assert.ok(!existsSync(path));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}
