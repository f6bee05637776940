import type { Progress, ProgressListener } from '../convert/progress.js';
import type { TextStream } from './output.js';

/** At most so often is progress told. */
const MILLISECONDS = 100;
const MIB = 1024 * 1024;
/** To the beginning of the line, and all of it away. */
const CLEAR = '\r\x1b[K';

export interface ProgressTeller {
  readonly listener: ProgressListener;
  /** Takes the last one away: the answer follows, or an error. */
  done(): void;
}

/**
 * Tells of progress on stderr: `text` is one line that is written over and over, `json` one object a line.
 * @param pageSize bytes of a page, once that is known
 * @param clock milliseconds, from any moment on
 */
export function progressTeller(
  stream: TextStream,
  style: 'text' | 'json' | 'none',
  pageSize: () => number,
  clock: () => number = () => performance.now(),
): ProgressTeller {
  let told = Number.NEGATIVE_INFINITY;
  let phase: Progress['phase'] | undefined;
  let began = 0;
  let shown = false;
  const listener: ProgressListener = (progress) => {
    const now = clock();
    if (progress.phase !== phase) {
      phase = progress.phase;
      began = now;
    } else if (now - told < MILLISECONDS) {
      return;
    }
    if (style === 'none') return;
    told = now;
    const facts = factsOf(progress, (now - began) / 1000, pageSize());
    stream.write(style === 'json' ? `${JSON.stringify(facts)}\n` : `${CLEAR}${lineOf(facts)}`);
    shown = true;
  };
  const done = (): void => {
    if (shown && style === 'text') stream.write(CLEAR);
    shown = false;
  };
  return { listener, done };
}

/** One line of `--progress json`. */
interface Facts {
  readonly phase: Progress['phase'];
  /** Pages of memory; null while the input is received. */
  readonly pages: number | null;
  readonly totalPages: number | null;
  readonly bytes: number;
  readonly totalBytes: number | null;
  /** Since the phase began. */
  readonly seconds: number;
  readonly bytesPerSecond: number | null;
  readonly secondsLeft: number | null;
}

function factsOf({ phase, done, total }: Progress, seconds: number, pageSize: number): Facts {
  const receiving = phase === 'receiving';
  const size = receiving ? 1 : pageSize;
  const rate = seconds > 0 ? (done * size) / seconds : null;
  return {
    phase,
    pages: receiving ? null : done,
    totalPages: receiving ? null : (total ?? null),
    bytes: done * size,
    totalBytes: total === undefined ? null : total * size,
    seconds: Math.round(seconds * 1000) / 1000,
    bytesPerSecond: rate === null ? null : Math.round(rate),
    secondsLeft: total === undefined || rate === null || rate === 0 ? null : Math.round(((total - done) * size) / rate),
  };
}

function lineOf({ phase, pages, totalPages, bytes, totalBytes, bytesPerSecond, secondsLeft }: Facts): string {
  const share = totalBytes === null ? '' : ` ${Math.floor((100 * bytes) / Math.max(1, totalBytes))}%`;
  const amount = pages === null ? `${Math.round(bytes / MIB)} MiB` : `${pages} of ${totalPages} pages`;
  const rate = bytesPerSecond === null ? '' : `, ${Math.round(bytesPerSecond / MIB)} MiB/s`;
  const left = secondsLeft === null ? '' : `, ${timeOf(secondsLeft)} left`;
  return `${phase}${share}: ${amount}${rate}${left}`;
}

function timeOf(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
}
