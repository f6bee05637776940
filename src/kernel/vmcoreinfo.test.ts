import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logFixture } from '../testing/log-fixture.js';
import { Random } from '../testing/random.js';
import { parseVmcoreinfo } from './vmcoreinfo.js';

const bytes = (text: string) => new TextEncoder().encode(text);

test('a real note: every kind of line', () => {
  const { vmcoreinfo } = logFixture('linux-7.2-panic');
  assert.equal(vmcoreinfo.osrelease, '7.2.12+deb14-cloud-amd64');
  assert.equal(vmcoreinfo.buildId, '4bbce01e305eafdcfe5a7e808f0e347e013801e3');
  assert.equal(vmcoreinfo.pageSize, 4096);
  assert.equal(vmcoreinfo.kernelOffset, 0x2ca00000n);
  assert.equal(vmcoreinfo.crashTime, undefined);
  assert.equal(vmcoreinfo.symbol('prb'), 0xffffffffafc81b60n);
  assert.equal(vmcoreinfo.offset('printk_info', 'dev_info'), 44);
  assert.equal(vmcoreinfo.size('printk_info'), 112);
  assert.equal(vmcoreinfo.length('printk_info_device'), 48);
  assert.equal(vmcoreinfo.number('phys_base'), -606076928n);
  assert.equal(vmcoreinfo.number('VMALLOC_START'), 0xffffcd8640000000n);
  assert.deepEqual(vmcoreinfo.junk, []);
  assert.equal([...vmcoreinfo.lines.keys()][0], 'OSRELEASE');
  assert.equal(vmcoreinfo.lines.size, vmcoreinfo.text.trimEnd().split('\n').length);
});

test('junk is kept apart, a wrong value is as if missing, the last of two counts, a NUL ends it', () => {
  const info = parseVmcoreinfo(
    bytes(
      [
        'OSRELEASE=6.1',
        'KERNELOFFSET=zz',
        'PAGESIZE=-4096',
        'CRASHTIME=17',
        'CRASHTIME=18',
        'NUMBER(a)=12x',
        'SYMBOL(b)=0x12',
        'no equals sign here',
        '',
        '\u00ff\u00fe=1',
        'SIZE(page)=64\0OSRELEASE=after',
      ].join('\n'),
    ),
  );
  assert.equal(info.osrelease, '6.1');
  assert.equal(info.kernelOffset, undefined);
  assert.equal(info.pageSize, undefined);
  assert.equal(info.crashTime, 18);
  assert.equal(info.number('a'), undefined);
  assert.equal(info.symbol('b'), undefined);
  assert.equal(info.size('page'), 64);
  assert.deepEqual(info.junk, ['no equals sign here', '\u00ff\u00fe=1']);
  assert.equal(parseVmcoreinfo(new Uint8Array(0)).osrelease, undefined);
});

test('a note far too long is cut, not read whole', () => {
  const long = new Uint8Array(1 << 22).fill(0x41);
  assert.ok(parseVmcoreinfo(long).text.length <= 1 << 20);
});

test('fuzz: any bytes parse', () => {
  const real = bytes(logFixture('linux-6.1-panic').vmcoreinfo.text);
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const note = real.slice(0, 1 + random.below(real.length));
    random.mutate(note, 64);
    const info = parseVmcoreinfo(note);
    for (const name of ['prb', 'swapper_pg_dir']) assert.ok((info.symbol(name) ?? 0n) < 2n ** 64n);
    assert.ok((info.size('printk_info') ?? 0) >= 0);
    assert.ok(info.lines.size + info.junk.length <= info.text.split('\n').length);
  }
});
