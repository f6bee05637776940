const ATTRIBUTE = '__attribute__(';

/**
 * A field's type as its `format` file has it. `length`: how many elements, where the kernel keeps that (from 5.18):
 * the word in brackets may be a macro's or an expression.
 */
export function fieldType(type: string, length: number | undefined): string {
  const bracket = type.startsWith('__data_loc') ? -1 : type.indexOf('[');
  if (bracket < 0 || length === undefined) return type;
  return `${type.slice(0, bracket)}[${length > 0 ? length : ''}]`;
}

/** Without `__attribute__((…))`, as the kernel takes it out of types when it boots (sanitize_field_type()). */
export function withoutAttributes(type: string): string {
  let text = type;
  for (let from = 0; ; ) {
    const at = text.indexOf(ATTRIBUTE, from);
    if (at < 0) return text;
    from = at;
    // A part of another word.
    if (at > 0 && !/\s/.test(text[at - 1] ?? '')) {
      from += ATTRIBUTE.length;
      continue;
    }
    let depth = 1;
    let end = at + ATTRIBUTE.length;
    for (; depth > 0 && end < text.length; end++) depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0;
    if (depth > 0) return type;
    text = text.slice(0, at) + text.slice(end).trimStart();
  }
}
