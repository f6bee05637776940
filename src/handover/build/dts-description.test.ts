import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { parseDtsDescription } from './dts-description.js';
import { parseDescription } from './parse.js';

const WHOLE = `/dts-v1/;
/ {
	version = "kho-v1";
	bitmaps = <512>;
	address = /bits/ 64 <0x123456789000>;
	preserve = <0>;
	map { pages = <0x1000 0x2000>; };
	ram { a@0 { size = "1G"; }; b@100000000 { size = <4096>; }; };
	users {
		mine {
			layout = "dtc";
			tree {
				compatible = "mine", "yours";
				flag;
				__proto__ = <1>;
				a { number = <1 2>; big = /bits/ 64 <(-1)>; bytes = [01]; lost = &list; };
				b { parts = &parts; a {}; };
			};
		};
		other@5000 { name = "with a/slash"; bytes { pattern = [00 ff]; }; };
		LUO { luo { sessions { vm { count = /bits/ 64 <0xffffffffffffffff>; files {
			x { token = <1>; memfd { content = "excluded"; size = "8K"; folios { p { index = <0>; }; hole { hole; }; }; }; };
		}; }; }; }; };
	};
	memory { m@7000 { size = <1>; preserve = "no"; }; };
	placed {
		list: list { vmalloc { pages = <0x3000>; size = <4096>; }; };
		parts: parts { mem { m@8000 { size = <16>; }; n { size = <32>; content { text = "x"; }; }; }; };
	};
};
`;

test('a description in source text says what the same one says in JSON', () => {
  const expected = {
    version: 'kho-v1',
    bitmaps: 512,
    address: 0x123456789000,
    preserve: false,
    map: { pages: [0x1000, 0x2000] },
    ram: [
      { address: '0x0', size: '1G' },
      { address: '0x100000000', size: 4096 },
    ],
    users: [
      {
        name: 'mine',
        layout: 'dtc',
        tree: {
          '/': JSON.parse(
            '{"compatible":{"hex":"6d696e6500796f75727300"},"flag":{"hex":""},"__proto__":{"hex":"01000000"}}',
          ),
          '/a': {
            number: { hex: '0100000002000000' },
            big: { hex: 'ffffffffffffffff' },
            bytes: { hex: '01' },
            lost: { vmalloc: { pages: [0x3000], size: 4096 } },
          },
          '/b': {
            parts: {
              mem: [
                { address: '0x8000', size: 16 },
                { size: 32, content: { text: 'x' } },
              ],
            },
          },
          '/b/a': {},
        },
      },
      { name: 'with a/slash', address: '0x5000', bytes: { pattern: '00ff' } },
      {
        name: 'LUO',
        luo: {
          sessions: [
            {
              name: 'vm',
              count: '0xffffffffffffffff',
              files: [{ token: 1, memfd: { content: 'excluded', size: '8K', folios: [{ index: 0 }, { hole: true }] } }],
            },
          ],
        },
      },
    ],
    memory: [{ address: '0x7000', size: 1, preserve: 'no' }],
  };
  assert.deepEqual(parseDtsDescription(WHOLE, 'x.dts'), parseDescription(JSON.stringify(expected), 'x.json'));
});

test('what is no description is refused, with where', () => {
  for (const [body, what] of [
    ['verson = "kho-v4";', /x\.dts: the description: has what is not known: verson/],
    ['users { a { bytes = <1>; }; };', /x\.dts: users\[0\]\.bytes/],
    ['users { a = <1>; };', /\/users: a list has nodes, and not a/],
    ['address = <1>, "2";', /\/ address: texts, numbers of one size, or bytes/],
    ['address = &{/};', /\/ address: texts/],
    ['users { a { tree { b = &{/users}; }; }; };', /a reference is to a node of \/placed/],
    ['address = <&{/}>;', /x\.dts:1:\d+: expected a number: nothing has a phandle here/],
    ['map; map {};', /\/map is a property too/],
  ] as const) {
    assert.throws(() => parseDtsDescription(`/dts-v1/; / { ${body} };`, 'x.dts'), { code: 'EXH_USAGE', message: what });
  }
  assert.throws(() => parseDtsDescription('/dts-v1/; /memreserve/ 1 2; / {};', 'x.dts'), { code: 'EXH_USAGE' });
});

test('mutated descriptions end in a description, or in an error of ours', () => {
  const random = new Random(31);
  let read = 0;
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(WHOLE);
    if (random.below(4) === 0) random.mutate(bytes, 3);
    else bytes[random.below(bytes.length)] = 0x20 + random.below(0x5f);
    try {
      parseDtsDescription(bytes.toString('latin1'), 'x.dts');
      read++;
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
  assert.ok(read > 20, `${read}`);
});
