import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generatedFiles } from './generate.js';
import { VERSION } from './version.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

for (const [path, content] of generatedFiles()) {
  test(`${path} is current`, () => {
    assert.ok(existsSync(ROOT + path), 'it is not there: npm run generate');
    const committed = readFileSync(ROOT + path, 'utf8');
    if (path.endsWith('.json')) assert.deepEqual(JSON.parse(committed), JSON.parse(content), 'npm run generate');
    assert.equal(committed, content, 'npm run generate');
  });
}

test('there are no other schemas and golden files', () => {
  const known = generatedFiles();
  const found = [
    ...readdirSync(`${ROOT}schemas`).map((name) => `schemas/${name}`),
    ...readdirSync(`${ROOT}samples`)
      .filter((name) => name.endsWith('.json'))
      .map((name) => `samples/${name}`),
  ];
  assert.deepEqual(
    found.filter((path) => !known.has(path)),
    [],
  );
});

test('the version is that of the package', () => {
  assert.equal(VERSION, JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')).version);
});
