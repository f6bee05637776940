import { OutputFile } from '../../bytes/node/output-file.js';
import { FileSource } from '../../bytes/node.js';
import { fixHeaders } from '../../dump/fix-headers.js';
import type { DescribedDump } from '../describe.js';

/**
 * Writes a copy of a dump of which only the headers are new: `convert --fix-only`.
 * Throws EXH_USAGE for a file whose headers cannot be made right alone (before anything is written), EXH_NO_SPACE, EXH_IO.
 */
export async function fixOnly(input: string, output: string, described: DescribedDump): Promise<void> {
  const source = FileSource.open(input);
  try {
    const { writes } = fixHeaders(source, described.description, described.memoryEnd);
    const file = OutputFile.create(output);
    try {
      await file.copyFrom(input);
      for (const { offset, bytes } of writes) file.write(offset, bytes);
      file.commit();
    } finally {
      file.abort();
    }
  } finally {
    source.close();
  }
}
