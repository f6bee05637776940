import { statSync } from 'node:fs';
import type { AppendSink, ByteSink } from '../../bytes/byte-sink.js';
import { AppendingFile, OutputFile } from '../../bytes/node/output-file.js';
import { PipeSink } from '../../bytes/node/pipe-sink.js';
import type { CompressionMethod } from '../../codecs/codec.js';
import type { DumpDescription } from '../../dump/description.js';
import type { DumpWriter } from '../../dump/dump-writer.js';
import { ElfWriter } from '../../dump/elf-writer.js';
import { FlattenedSink } from '../../dump/flattened-sink.js';
import { KdumpWriter } from '../../dump/kdump-writer.js';
import type { PageChunk } from '../../dump/page-chunk.js';
import type { PageSelection } from '../../dump/page-selection.js';
import { RawWriter } from '../../dump/raw-writer.js';
import { type SplitPart, SplitWriter, splitEvenly } from '../../dump/split-writer.js';
import type { OutputFormat, WrittenFile } from '../outcome.js';

/** Standard output, as a name of a file. */
export const PIPE = '-';
const STANDARD_OUTPUT = 1;

export interface OutputOptions {
  /** Name of the file; `-` for standard output. */
  readonly name: string;
  readonly format: OutputFormat;
  readonly compression: CompressionMethod | undefined;
  /** Write so many files, `NAME.1` and so on; 1: a single one, of that name. */
  readonly split: number;
}

/** The dump that is being written: one file, or a set of them. */
export class Output {
  private constructor(
    private readonly writer: DumpWriter,
    private readonly places: readonly Place[],
    /** Nothing has left this process for good: it can be begun anew. */
    readonly repeatable: boolean,
  ) {}

  /** Begins it, and writes the headers. Throws EXH_USAGE, EXH_NO_SPACE, EXH_IO. */
  static begin(options: OutputOptions, description: DumpDescription, selection: PageSelection): Output {
    const places: Place[] = [];
    try {
      const place = (name: string): ByteSink => {
        const opened = openPlace(name, options.format);
        places.push(opened);
        return opened.sink;
      };
      let writer: DumpWriter;
      if (options.split === 1) writer = writerFor(place(options.name), options, description, selection);
      else {
        const parts = splitEvenly(selection, options.split);
        const writers = parts.map((part, i) =>
          writerFor(place(`${options.name}.${i + 1}`), options, description, selection, part),
        );
        writer = new SplitWriter(parts, writers);
      }
      writer.begin();
      return new Output(writer, places, options.name !== PIPE);
    } catch (error) {
      for (const { file } of places) file?.abort();
      throw error;
    }
  }

  write(chunk: PageChunk): void {
    this.writer.write(chunk);
  }

  /** Puts the files in their places. */
  finish(): WrittenFile[] {
    this.writer.end();
    for (const { flattened } of this.places) flattened?.finish();
    for (const { file } of this.places) file?.commit();
    return this.places.map(({ name, file, piped }) => ({
      name,
      bytes: file === undefined ? (piped?.bytes ?? 0) : statSync(name).size,
    }));
  }

  /** Leaves no trace of it; what went down a pipe has gone. */
  abort(): void {
    for (const { file } of this.places) file?.abort();
  }
}

/** Where a file of the dump goes. */
interface Place {
  readonly name: string;
  /** What the dump is written to. */
  readonly sink: ByteSink;
  readonly flattened: FlattenedSink | undefined;
  /** One of these two. */
  readonly file: OutputFile | undefined;
  readonly piped: CountingSink | undefined;
}

function openPlace(name: string, format: OutputFormat): Place {
  if (name === PIPE) {
    const piped = new CountingSink(new PipeSink(STANDARD_OUTPUT, 'standard output'));
    const flattened = new FlattenedSink(piped);
    return { name, sink: flattened, flattened, file: undefined, piped };
  }
  const file = OutputFile.create(name);
  if (format !== 'flattened') return { name, sink: file, flattened: undefined, file, piped: undefined };
  const flattened = new FlattenedSink(new AppendingFile(file));
  return { name, sink: flattened, flattened, file, piped: undefined };
}

function writerFor(
  sink: ByteSink,
  { format, compression }: OutputOptions,
  description: DumpDescription,
  selection: PageSelection,
  split?: SplitPart,
): DumpWriter {
  switch (format) {
    case 'elf':
      return new ElfWriter(sink, description, selection);
    case 'raw':
      return new RawWriter(sink, description, selection);
    case 'kdump':
    case 'flattened':
      return new KdumpWriter(sink, description, selection, { compression, ...(split !== undefined && { split }) });
  }
}

class CountingSink implements AppendSink {
  readonly name: string;
  bytes = 0;

  constructor(private readonly to: AppendSink) {
    this.name = to.name;
  }

  append(bytes: Uint8Array): void {
    this.to.append(bytes);
    this.bytes += bytes.length;
  }
}
