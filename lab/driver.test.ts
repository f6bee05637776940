/** What the driver's papers say about it. That it works is shown in guests, by the end-to-end tests. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { VMCS_FIELDS } from '../src/hypervisor/control/vmcs-fields.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const source = read('drivers/virtio-pstore/virtio_pstore.c');
const readme = read('drivers/virtio-pstore/README.md');

test("every parameter of the driver is documented, with the driver's default", () => {
  const parameters = [...source.matchAll(/^module_param\((\w+),/gm)].map((match) => match[1]);
  assert.ok(parameters.length > 0);
  const documented = [...readme.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented, parameters);
  for (const [, name, value] of readme.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)) {
    const given = new RegExp(`^static (?:unsigned )?int ${name} = (\\w+);`, 'm').exec(source)?.[1];
    assert.equal(given === 'KMSG_DUMP_OOPS' ? '2' : given, value, name);
  }
});

for (const driver of ['virtio-pstore', 'vmcsinfo']) {
  test(`DKMS knows ${driver} by the version of exhume`, () => {
    const { version } = JSON.parse(read('package.json'));
    assert.match(read(`drivers/${driver}/dkms.conf`), new RegExp(`^PACKAGE_NAME="${driver}"$`, 'm'));
    assert.match(read(`drivers/${driver}/dkms.conf`), new RegExp(`^PACKAGE_VERSION="${version}"$`, 'm'));
    assert.match(read(`drivers/${driver}/README.md`), new RegExp(`^ +dkms install ${driver}/${version}$`, 'm'));
  });
}

test('the module asks for every field that exhume knows, under the same name', () => {
  const fields = [...read('drivers/vmcsinfo/fields.h').matchAll(/^\tFIELD\(0x([0-9a-f]{4}), (\w+)\),$/gm)];
  const asked = new Map(fields.map(([, encoding = '', name]) => [Number.parseInt(encoding, 16), name]));
  assert.equal(asked.size, fields.length);
  assert.deepEqual([...asked].sort(), VMCS_FIELDS.map(({ encoding, name }) => [encoding, name]).sort());
});
