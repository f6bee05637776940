/** What a conversion is at. */
export type Phase =
  /** The input is being received from a pipe. */
  | 'receiving'
  /** It is found out which pages are written. */
  | 'deciding'
  | 'writing';

export interface Progress {
  readonly phase: Phase;
  /** Pages done in this phase; when receiving, bytes. */
  readonly done: number;
  /** Of so many; undefined: not known. */
  readonly total: number | undefined;
}

/** Is told of progress, as often as something was done. */
export type ProgressListener = (progress: Progress) => void;
