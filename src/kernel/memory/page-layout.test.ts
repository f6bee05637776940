import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { SegmentMemory } from '../../testing/log-fixture.js';
import { openSample } from '../../testing/sample.js';
import type { Kernel } from '../kernel.js';
import { PAGE_CLASS, PageClassifier } from './page-classes.js';
import { readPageLayout } from './page-layout.js';

const { cache, private: priv, user, free, poisoned, offline } = PAGE_CLASS;
const SIZE = 64;
const BASE = virtualAddress(0xffffea0000000000n);

type TypeName = 'buddy' | 'offline' | 'slab' | 'hugetlb';

/** A way in which kernels told what a page is: what VMCOREINFO or BTF says of it, and how it is written into structures. */
interface Form {
  readonly kernels: string;
  readonly numbers: Readonly<Record<string, number>>;
  readonly offsets: Readonly<Record<string, number>>;
  /** The value of `page_type`; undefined for what this kernel tells by other means. */
  type(name: TypeName): number | undefined;
  /** Bits of `flags` of a slab page. */
  readonly slabFlags: number;
  /** Writes order and kind of a compound page into its first tail. */
  tail(tail: DataView, order: number, huge: boolean): void;
}

const OFFSETS = {
  'page.flags': 0,
  'page._mapcount': 48,
  'page.mapping': 24,
  'page.private': 40,
};
const OLD_FLAGS = { PG_lru: 4, PG_private: 13, PG_swapcache: 10, PG_swapbacked: 19, PG_head: 16, PG_hwpoison: 22 };
const OLD_TYPES = { PAGE_BUDDY_MAPCOUNT_VALUE: ~0x80, PAGE_OFFLINE_MAPCOUNT_VALUE: ~0x100 };

function oldType(name: TypeName): number | undefined {
  return { buddy: ~0x80, offline: ~0x100, slab: undefined, hugetlb: undefined }[name];
}

const FORMS: readonly Form[] = [
  {
    kernels: 'to 6.2: bytes of the first tail page',
    numbers: { ...OLD_FLAGS, ...OLD_TYPES, PG_slab: 9, HUGETLB_PAGE_DTOR: 2 },
    offsets: { ...OFFSETS, 'page.compound_head': 8, 'page.compound_dtor': 16, 'page.compound_order': 17 },
    type: oldType,
    slabFlags: 1 << 9,
    tail: (tail, order, huge) => {
      tail.setUint8(16, huge ? 2 : 1);
      tail.setUint8(17, order);
    },
  },
  {
    kernels: '6.3 to 6.5: the same of a folio',
    numbers: { ...OLD_FLAGS, ...OLD_TYPES, PG_slab: 9, HUGETLB_PAGE_DTOR: 2 },
    offsets: { ...OFFSETS, 'page.compound_head': 8, 'folio._folio_dtor': 80, 'folio._folio_order': 81 },
    type: oldType,
    slabFlags: 1 << 9,
    tail: (tail, order, huge) => {
      tail.setUint8(16, huge ? 2 : 1);
      tail.setUint8(17, order);
    },
  },
  {
    kernels: '6.6 to 6.8: flags of the first tail page',
    numbers: { ...OLD_FLAGS, ...OLD_TYPES, PG_slab: 9, PG_hugetlb: 8 },
    offsets: { ...OFFSETS, 'page.compound_head': 8 },
    type: oldType,
    slabFlags: 1 << 9,
    tail: (tail, order, huge) => tail.setUint32(0, order | (huge ? 1 << 8 : 0), true),
  },
  {
    kernels: '6.9: hugetlbfs by page type',
    numbers: { ...OLD_FLAGS, ...OLD_TYPES, PG_slab: 9, PAGE_HUGETLB_MAPCOUNT_VALUE: ~0x800 },
    offsets: { ...OFFSETS, 'page.compound_head': 8 },
    type: (name) => (name === 'hugetlb' ? ~0x800 : oldType(name)),
    slabFlags: 1 << 9,
    tail: (tail, order) => tail.setUint32(0, order, true),
  },
  {
    kernels: '6.10 and 6.11: slab by page type',
    numbers: {
      ...OLD_FLAGS,
      PAGE_BUDDY_MAPCOUNT_VALUE: ~0x4000_0000,
      PAGE_OFFLINE_MAPCOUNT_VALUE: ~0x2000_0000,
      PAGE_HUGETLB_MAPCOUNT_VALUE: ~0x0400_0000,
      PAGE_SLAB_MAPCOUNT_VALUE: ~0x0200_0000,
      // Of enum pagetype.
      PG_slab: 0x0200_0000,
      PG_hugetlb: 0x0400_0000,
    },
    offsets: { ...OFFSETS, 'page.compound_head': 8 },
    type: (name) => ~{ buddy: 0x4000_0000, offline: 0x2000_0000, hugetlb: 0x0400_0000, slab: 0x0200_0000 }[name],
    slabFlags: 0,
    tail: (tail, order) => tail.setUint32(0, order, true),
  },
  {
    kernels: '6.12 on: types are numbers; 7.2: `compound_info`',
    numbers: {
      ...{ PG_lru: 5, PG_private: 14, PG_swapcache: 10, PG_swapbacked: 17, PG_head: 6, PG_hwpoison: 21 },
      ...{ PGTY_buddy: 0xf0, PGTY_offline: 0xf1, PGTY_hugetlb: 0xf4, PGTY_slab: 0xf5, PGTY_unaccepted: 0xf7 },
    },
    offsets: { ...OFFSETS, 'page.compound_info': 8 },
    // The low bits belong to the page's owner.
    type: (name) => ({ buddy: 0xf000_0000, offline: 0xf100_0002, hugetlb: 0xf400_0000, slab: 0xf500_0123 })[name],
    slabFlags: 0,
    tail: (tail, order) => tail.setUint32(0, order, true),
  },
];

function kernelOf({ numbers, offsets }: Form, without = ''): Kernel {
  const layouts = {
    offset: (struct: string, member: string) => (without === member ? undefined : offsets[`${struct}.${member}`]),
    size: (struct: string) => ({ page: SIZE, free_area: 104 })[struct],
    memberSize: () => 11 * 104,
    number: (name: string) => {
      const value = numbers[name];
      return value === undefined || name === without ? undefined : BigInt(value);
    },
  };
  return Object.create(openSample().kernel, { layouts: { value: layouts }, vmcoreinfo: { value: undefined } });
}

/** Structures of page frames from 0 on, as a kernel of this form would have them. */
class Pages {
  readonly bytes = new Uint8Array(2048 * SIZE);

  constructor(readonly form: Form) {
    for (let pfn = 0; pfn < this.bytes.length / SIZE; pfn++) this.at(pfn).setInt32(48, -1, true);
  }

  at(pfn: number): DataView {
    return viewOf(this.bytes.subarray(pfn * SIZE, (pfn + 1) * SIZE));
  }

  flags(pfn: number, ...names: string[]): this {
    const page = this.at(pfn);
    for (const name of names) {
      page.setUint32(0, page.getUint32(0, true) | (1 << (this.form.numbers[`PG_${name}`] ?? 0)), true);
    }
    return this;
  }

  type(pfn: number, name: TypeName): this {
    const type = this.form.type(name);
    if (type !== undefined) this.at(pfn).setUint32(48, type, true);
    if (name === 'slab') this.at(pfn).setUint32(0, this.at(pfn).getUint32(0, true) | this.form.slabFlags, true);
    return this;
  }

  mapping(pfn: number, value: bigint): this {
    this.at(pfn).setBigUint64(24, value, true);
    return this;
  }

  buddy(pfn: number, order: bigint): this {
    this.at(pfn).setBigUint64(40, order, true);
    return this.type(pfn, 'buddy');
  }

  compound(pfn: number, order: number, huge = false): this {
    this.flags(pfn, 'head').form.tail(this.at(pfn + 1), order, huge);
    for (let tail = pfn + 1; tail < pfn + 2 ** order; tail++) this.at(tail).setUint32(8, 1, true);
    return huge ? this.type(pfn, 'hugetlb') : this;
  }

  classes(): number[] {
    const memory = new SegmentMemory();
    memory.write(BASE, this.bytes);
    const facts = { layout: readPageLayout(kernelOf(this.form)), map: { kind: 'vmemmap', method: 'told', base: BASE } };
    const into = new Uint8Array(this.bytes.length / SIZE);
    new PageClassifier(memory, facts as typeof facts & { map: { kind: 'vmemmap' } }).classify(0, into);
    return [...into];
  }
}

const ANONYMOUS = 0xffff888000001001n;
const FILE = 0xffff888000001000n;

for (const form of FORMS) {
  test(`classes, ${form.kernels}`, () => {
    const pages = new Pages(form);
    pages.flags(8, 'lru').mapping(8, FILE);
    pages.flags(9, 'lru', 'private').mapping(9, FILE);
    pages.flags(10, 'lru', 'swapbacked').mapping(10, ANONYMOUS);
    pages.flags(11, 'lru', 'swapbacked', 'swapcache').mapping(11, ANONYMOUS);
    // Written out and not mapped any more.
    pages.flags(12, 'swapbacked', 'swapcache');
    // The bit has another meaning in pages that are not backed by swap.
    pages.flags(13, 'swapcache');
    pages.type(14, 'slab').mapping(14, ANONYMOUS);
    pages.type(15, 'offline');
    pages.buddy(16, 4n);
    pages.buddy(32, 11n).buddy(33, 2n ** 32n);
    pages.flags(34, 'lru', 'hwpoison').mapping(34, FILE);
    pages.flags(35, 'hwpoison');
    pages.compound(64, 6).flags(64, 'lru').mapping(64, FILE);
    pages.compound(512, 9, true);
    // A first tail has counters where others have a mapping: here the one of -1.
    pages.compound(1024, 3).type(1024, 'slab').mapping(1025, 0xffffffffn);
    pages.compound(1048, 3).flags(1048, 'lru', 'swapbacked').mapping(1048, ANONYMOUS).flags(1050, 'hwpoison');
    pages.compound(1064, 3).flags(1066, 'hwpoison');
    // As if its order were 5: it would not be aligned.
    pages.compound(1096, 3).flags(1096, 'lru').form.tail(pages.at(1097), 5, false);
    const expected = new Array<number>(2048).fill(0);
    expected.splice(8, 8, cache | priv, priv, user, user, cache | priv, 0, 0, offline);
    expected.fill(free, 16, 32);
    expected.splice(34, 2, cache | priv | poisoned, poisoned);
    expected.fill(cache | priv, 64, 128);
    expected.fill(user, 512, 1024);
    expected.fill(user, 1048, 1056);
    expected[1050] = user | poisoned;
    expected[1066] = poisoned;
    expected[1096] = cache | priv;
    assert.deepEqual(pages.classes(), expected);
  });
}

test('memory that a confidential guest has not accepted is free, in blocks of the highest order', () => {
  const form = FORMS.at(-1) as Form;
  const pages = new Pages(form);
  pages.at(1024).setUint32(48, 0xf700_0000, true);
  assert.deepEqual(
    pages.classes(),
    Array.from({ length: 2048 }, (_, pfn) => (pfn >= 1024 ? free : 0)),
  );
});

test('a kernel that does not tell a type is one of which such pages are kept', () => {
  const [oldest] = FORMS as [Form];
  assert.deepEqual(readPageLayout(kernelOf(oldest)).untold, []);
  assert.deepEqual(readPageLayout(kernelOf(oldest, 'PAGE_BUDDY_MAPCOUNT_VALUE')).untold, ['free']);
  assert.deepEqual(readPageLayout(kernelOf(oldest, 'HUGETLB_PAGE_DTOR')).untold, ['huge']);
  assert.deepEqual(readPageLayout(kernelOf(oldest, 'PAGE_OFFLINE_MAPCOUNT_VALUE')).untold, ['offline']);
});

test('page types that only BTF tells: the bits of 6.10 and 6.11', () => {
  const numbers = { ...OLD_FLAGS, PG_buddy: 0x4000_0000, PG_offline: 0x2000_0000, PG_hugetlb: 0x0400_0000 };
  const form = FORMS[4] as Form;
  const byVmcoreinfo = readPageLayout(kernelOf(form));
  const byBtf = readPageLayout(kernelOf({ ...form, numbers: { ...numbers, PG_slab: 0x0200_0000 } }));
  assert.deepEqual(byBtf, byVmcoreinfo);
});

test('a kernel that does not tell of its flags is not guessed at', () => {
  for (const form of FORMS) {
    for (const missing of ['flags', 'mapping', '_mapcount', 'private', 'PG_lru', 'PG_head']) {
      assert.throws(
        () => readPageLayout(kernelOf(form, missing)),
        (error) => isExhumeError(error, 'EXH_NO_LAYOUT'),
        `${form.kernels}: ${missing}`,
      );
    }
  }
});

test('a structure whose members lie outside of it is damage', () => {
  const [oldest] = FORMS as [Form];
  for (const [member, offset] of [
    ['page.mapping', 2 ** 28],
    ['page.private', 128],
    ['page.compound_order', 64],
  ] as const) {
    const form = { ...oldest, offsets: { ...oldest.offsets, [member]: offset } };
    assert.throws(
      () => readPageLayout(kernelOf(form)),
      (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
      member,
    );
  }
});
