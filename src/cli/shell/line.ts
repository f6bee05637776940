import { ExhumeError } from '../../bytes/errors.js';

/** A line of the shell, taken apart. */
export interface ShellLine {
  /** The command and its operands, quotes taken off. */
  readonly words: readonly string[];
  /** What follows `|`: for the system's shell. */
  readonly pipe: string | undefined;
  /** What follows `>` or `>>`. */
  readonly file: { readonly path: string; readonly append: boolean } | undefined;
}

/**
 * Takes a line apart as a shell does: words, quotes, backslashes, `#` comments; then ` | command`, ` > file`, ` >> file`.
 * `|` and `>` count only where a word could begin, so that `init_task.mm->pgd` needs no quotes.
 * Throws EXH_USAGE for a quote that is not closed or a redirection to nowhere.
 */
export function parseLine(line: string): ShellLine {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && /\s/.test(line[at] ?? '')) at++;
    const here = line[at];
    if (here === undefined || here === '#') return { words, pipe: undefined, file: undefined };
    if (here === '|') return { words, pipe: rest(line, at + 1, 'command'), file: undefined };
    if (here === '>') {
      const append = line[at + 1] === '>';
      const [path = ''] = parseLine(rest(line, at + (append ? 2 : 1), 'file')).words;
      return { words, pipe: undefined, file: { path, append } };
    }
    const { word, end } = wordAt(line, at);
    words.push(word);
    at = end;
  }
}

function rest(line: string, from: number, what: string): string {
  const text = line.slice(from).trim();
  if (text === '') throw new ExhumeError('EXH_USAGE', `name a ${what} after ${line[from - 1]}`, { found: line });
  return text;
}

function wordAt(line: string, start: number): { readonly word: string; readonly end: number } {
  let word = '';
  let quote: string | undefined;
  let at = start;
  for (; at < line.length; at++) {
    const character = line[at] ?? '';
    if (quote === undefined && /\s/.test(character)) break;
    if (character === quote) quote = undefined;
    else if (quote === undefined && (character === '"' || character === "'")) quote = character;
    else if (character === '\\' && quote !== "'" && at + 1 < line.length) word += line[++at];
    else word += character;
  }
  if (quote !== undefined) throw new ExhumeError('EXH_USAGE', `the quote ${quote} is not closed`, { found: line });
  return { word, end: at };
}
