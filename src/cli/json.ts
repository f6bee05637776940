/**
 * A document as `JSON.stringify(document, null, 2)` writes it, without its last line break, in whole lines: an element of
 * a list at a time. All stacks of 20,000 threads are 90 MB of text, which need not be in memory beside what it tells.
 */
export function* jsonLines(document: object): Generator<string> {
  const fields = Object.entries(document).filter(([, value]) => value !== undefined);
  if (fields.length === 0) yield '{}';
  else yield '{';
  for (const [index, [name, value]] of fields.entries()) {
    const comma = index < fields.length - 1 ? ',' : '';
    if (!Array.isArray(value) || value.length === 0) {
      yield JSON.stringify({ [name]: value }, null, 2).slice(OUTSIDE_FIELD, -OUTSIDE_FIELD) + comma;
      continue;
    }
    yield `  ${JSON.stringify(name)}: [`;
    for (const [at, element] of value.entries()) yield elementText(element) + (at < value.length - 1 ? ',' : '');
    yield `  ]${comma}`;
  }
  if (fields.length > 0) yield '}';
}

/** `{` and a line break, and the same behind. */
const OUTSIDE_FIELD = 2;
const BEFORE_ELEMENT = '{\n  "": [\n'.length;
const AFTER_ELEMENT = '\n  ]\n}'.length;

/** Indented as in a list that is a field of the document. */
function elementText(element: unknown): string {
  return JSON.stringify({ '': [element] }, null, 2).slice(BEFORE_ELEMENT, -AFTER_ELEMENT);
}
