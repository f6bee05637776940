import type { DescribedDump } from '../convert/describe.js';
import type { Outcome } from '../convert/outcome.js';
import type { UserScrub } from '../convert/scrub.js';
import { fileReport } from './file.js';
import type { ConvertReport } from './schema/convert.js';
import type { Subject } from './subject.js';
import { damageReport } from './words.js';

/**
 * What a conversion did.
 * @param bytes sizes of the input's files together
 */
export function buildConvert(
  subject: Subject,
  bytes: number,
  { repairs, missing }: DescribedDump,
  outcome: Outcome,
  scrub?: UserScrub,
): ConvertReport {
  const { pages, pageSize, files, seconds } = outcome;
  const damage = [...subject.container.damage, ...(scrub?.damage ?? [])].map(damageReport);
  if (pages.lost > 0) {
    damage.push({
      code: 'EXH_PAGE_LOST',
      part: 'memory',
      message: `${pages.lost} pages cannot be had from the input: the new dump has them as excluded`,
    });
  }
  return {
    schema: 'exhume-convert/1',
    complete: damage.length === 0 && missing.length === 0,
    file: fileReport(subject, bytes),
    dryRun: outcome.dryRun,
    output: {
      format: outcome.format,
      compression: outcome.compression ?? null,
      files: files.map((file) => ({ ...file })),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    },
    header: {
      repairs: repairs.map(({ field, was, now, from }) => ({ field, was: was ?? null, now, from })),
      missing: [...missing],
    },
    pages: {
      size: pageSize,
      described: pages.described,
      written: pages.written,
      zero: pages.zero,
      excludedBefore: pages.excludedBefore,
      excluded: [...pages.excluded]
        .filter(([, count]) => count > 0)
        .map(([name, count]) => ({ class: name, pages: count, bytes: count * pageSize })),
      unknown: pages.unknown,
      lost: pages.lost,
    },
    scrubbed:
      scrub === undefined
        ? null
        : {
            blanked: scrub.list.map(({ kind, objects, bytes }) => ({ kind, objects, bytes })),
            stays: [...scrub.untold, ...otherKernels(subject)],
          },
    seconds: Math.round(seconds * 1000) / 1000,
    bytesPerSecond: seconds === 0 ? 0 : Math.round((pages.described * pageSize) / seconds),
    jobs: outcome.jobs,
    damage,
  };
}

/** Only the chosen kernel is asked what it keeps of users. */
function otherKernels({ search }: Subject): string[] {
  const others = search.kernels.length - 1;
  return others > 0 ? [`what other kernels in this memory keep (${others})`] : [];
}
