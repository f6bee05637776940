import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/**
 * Every module that a module imports, itself and through others; packages and `node:` modules by name.
 * @param late also what it imports only when it is asked for: `import()`
 */
function importsOf(entry: string, found = new Set<string>(), late = true): Set<string> {
  const text = readFileSync(fileURLToPath(entry), 'utf8');
  const statement = /^(?:import|export) (?:[^;'"]*? from )?'([^']+)'/gm;
  for (const [, name = ''] of text.matchAll(statement)) take(name, entry, found, late);
  if (late) for (const [, name = ''] of text.matchAll(/\bimport\('([^']+)'\)/g)) take(name, entry, found, late);
  return found;
}

function take(name: string, from: string, found: Set<string>, late: boolean): void {
  const target = name.startsWith('.') ? new URL(name, from).href : name;
  if (found.has(target)) return;
  found.add(target);
  if (name.startsWith('.')) importsOf(target, found, late);
}

const packagesIn = (found: Set<string>) => [...found].filter((name) => !name.startsWith('file:')).sort();

test('the library runs in a browser: nothing in it imports from node:', () => {
  const found = importsOf(new URL('../index.js', import.meta.url).href);
  assert.ok(found.size > 50, `${found.size} modules`);
  assert.deepEqual(packagesIn(found), ['fflate', 'picocolors']);
});

test('a command loads what it needs: types and schemas of answers cost nothing, all else comes when it is asked for', () => {
  const main = new URL('./main.js', import.meta.url).href;
  const found = importsOf(main);
  assert.ok(
    [...found].some((name) => name.endsWith('/report/report.js')),
    'through import() too',
  );
  assert.deepEqual(
    packagesIn(found).filter((name) => !name.startsWith('node:')),
    ['commander', 'fflate', 'iced-x86', 'koffi', 'picocolors', 'typebox', 'typebox/value'],
  );
  // The one schema that is loaded is that of what people write: kho build's.
  const schemas = [...found].filter(
    (name) => name.startsWith('file:') && importsOf(name, new Set(), false).has('typebox'),
  );
  assert.ok(
    schemas.every((name) => /\/(handover\/build\/|cli\/kho-build\.js)/.test(name)),
    schemas.join(' '),
  );
  const early = packagesIn(importsOf(main, new Set(), false)).filter((name) => !name.startsWith('node:'));
  assert.deepEqual(early, ['commander']);
});
