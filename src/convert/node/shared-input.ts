import type { ByteSource } from '../../bytes/byte-source.js';
import { FileSource } from '../../bytes/node.js';
import { nodeDecoders } from '../../codecs/node.js';
import type { Container } from '../../dump/container.js';
import { openDump } from '../../dump/open.js';
import { withNotes } from '../../dump/with-notes.js';
import { OPENERS } from '../../hypervisor/openers.js';
import type { SharedInput } from './messages.js';
import { PartialFile } from './partial-file.js';

/** Tasks go through memory once, so there is little to keep. */
const CACHE_BYTES = 4 * 1024 * 1024;

/** Opens a dump from files that are open in this process already. Throws as `openDump`. */
export function openShared(input: SharedInput, cacheBytes = CACHE_BYTES): Container {
  const { files, format, ranges, live, snapshot, notes = [] } = input;
  const sources = files.map(({ name, descriptor, special, extents }): ByteSource => {
    const file = FileSource.over(name, descriptor, special);
    return extents === undefined ? file : new PartialFile(file, extents);
  });
  const dump = openDump(sources, {
    decoders: nodeDecoders,
    openers: OPENERS,
    cacheBytes,
    ...(format !== undefined && { format }),
    ...(ranges !== undefined && { ranges }),
    ...(live !== undefined && { live }),
    ...(snapshot !== undefined && { snapshot }),
  });
  return withNotes(dump, notes);
}
