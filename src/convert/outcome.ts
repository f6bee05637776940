import type { CompressionMethod } from '../codecs/codec.js';
import type { ExcludedClass } from './exclusion.js';

/** What a new dump is. */
export const OUTPUT_FORMATS = ['kdump', 'elf', 'flattened', 'raw'] as const;

export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Where the pages of the input went. */
export interface PageTally {
  /** Pages of RAM that the input describes. */
  readonly described: number;
  /** Pages whose content is in the output. */
  readonly written: number;
  /** Of those: zeros, which take no room of their own. */
  readonly zero: number;
  /** Pages that the input did not have any more. */
  readonly excludedBefore: number;
  /** Pages left out by class; each counts once. */
  readonly excluded: ReadonlyMap<ExcludedClass, number>;
  /** Pages that were kept because their class cannot be told; 0 where none was asked for. */
  readonly unknown: number;
  /** Pages that the input should have and has not, or broken. */
  readonly lost: number;
}

export interface WrittenFile {
  readonly name: string;
  /** In bytes; for a dry run estimated. */
  readonly bytes: number;
}

/** What a conversion did, or with a dry run would do. */
export interface Outcome {
  readonly dryRun: boolean;
  readonly format: OutputFormat;
  readonly compression: CompressionMethod | undefined;
  readonly files: readonly WrittenFile[];
  readonly pageSize: number;
  readonly pages: PageTally;
  readonly seconds: number;
  readonly jobs: number;
}
