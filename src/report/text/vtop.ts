import type { VtopReport } from '../schema/vtop.js';
import { digits16, humanBytes, Page, type TextOptions } from './page.js';

export function* vtopText({ translations, root, levels }: VtopReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  for (const [i, walk] of translations.entries()) {
    if (i > 0) yield '';
    yield page.paint.dim('VIRTUAL           PHYSICAL');
    const physical = walk.physical?.slice(2).padEnd(16) ?? page.paint.yellow('not mapped      ');
    yield `${digits16(walk.virtual)}  ${page.paint.bold(physical)}  ${walk.symbol ?? ''}`.trimEnd();
    yield '';
    yield page.paint.dim(`  page table at ${root}, ${levels} levels`);
    yield* page.table(
      walk.steps.map(({ level, entryAddress, entry, flags }) => ({
        cells: [level.padStart(4), entryAddress.slice(2), '=>', entry.slice(2), flags.join('|')],
      })),
    );
    if (walk.stopped !== null) yield* page.prose(walk.stopped);
    if (walk.pageBytes !== null) {
      yield `  ${humanBytes(walk.pageBytes)} page, ${walk.page === 'present' ? 'present in the dump' : `${walk.page} in the dump`}`;
    }
  }
}
