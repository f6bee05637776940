import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonLines } from './json.js';

test('the lines are those that JSON.stringify writes', () => {
  const documents = [
    {},
    { empty: [], none: undefined, nothing: null },
    { only: undefined },
    { list: [1, 'a\nb', null, undefined, [], [[]], {}, { deep: [{ deeper: [1, 2] }], left: undefined }] },
    { 'a "name"': { inner: [1, { x: '\u2028' }] }, '': [{ '': [''] }], last: [undefined], number: 1.5 },
  ];
  for (const document of documents) {
    assert.equal([...jsonLines(document)].join('\n'), JSON.stringify(document, null, 2));
  }
});

test('a long list comes an element at a time', () => {
  const lines = [...jsonLines({ list: Array.from({ length: 1000 }, (_, index) => ({ index })) })];
  assert.equal(lines.length, 1000 + 4);
});
