/**
 * Short options that mean something else to all of exhume (`-o FILE`, `-h`), and to crash's users something of the
 * command's own. After the name of one of these commands they mean what they mean in crash.
 */
const OWN: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ['struct', new Map([['-o', '--offsets']])],
  ['union', new Map([['-o', '--offsets']])],
  [
    'list',
    new Map([
      ['-o', '--offset'],
      ['-h', '--head-structure'],
      ['-H', '--head'],
    ]),
  ],
  ['tree', new Map([['-o', '--offset']])],
  ['search', new Map([['-h', '--halfwords']])],
]);

/** A command line with such options in their long form. */
export function withCrashOptions(words: readonly string[]): string[] {
  let own: ReadonlyMap<string, string> | undefined;
  let literal = false;
  return words.map((word) => {
    if (word === '--') literal = true;
    if (literal) return word;
    if (own === undefined) {
      own = OWN.get(word);
      return word;
    }
    return own.get(word) ?? word;
  });
}
