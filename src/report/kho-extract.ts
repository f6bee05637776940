import type { Extract } from '../handover/extract.js';
import type { KhoExtractReport } from './schema/kho-extract.js';

/** What was written. */
export function buildKhoExtract({ name, kind, size, pieces }: Extract, output: string): KhoExtractReport {
  const copied = pieces.reduce((sum, piece) => sum + piece.size, 0);
  return {
    schema: 'exhume-kho-extract/1',
    complete: true,
    name,
    kind,
    size,
    holes: size - copied,
    output,
    damage: [],
  };
}
