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
  const line = new ProgressLine(stream, style);
  let phase: Progress['phase'] | undefined;
  let began = 0;
  const listener: ProgressListener = (progress) => {
    const now = clock();
    const begins = progress.phase !== phase;
    if (begins) {
      phase = progress.phase;
      began = now;
    }
    if (!line.due(now, begins)) return;
    const facts = factsOf(progress, (now - began) / 1000, pageSize());
    line.show(now, facts, lineOf(facts));
  };
  return { listener, done: () => line.done() };
}

/** Tells how many events were read. */
export interface EventTeller {
  readonly listener: (events: number) => void;
  done(): void;
}

/** As `progressTeller`, of events. @param total undefined: not known */
export function eventTeller(
  stream: TextStream,
  style: 'text' | 'json' | 'none',
  total: number | undefined,
  clock: () => number = () => performance.now(),
): EventTeller {
  const line = new ProgressLine(stream, style);
  const began = clock();
  const listener = (events: number): void => {
    const now = clock();
    if (!line.due(now, false)) return;
    const seconds = (now - began) / 1000;
    const rate = seconds > 0 ? Math.round(events / seconds) : null;
    const left = total === undefined || rate === null || rate === 0 ? null : Math.round((total - events) / rate);
    const share = total === undefined || total === 0 ? '' : ` ${Math.min(100, Math.floor((100 * events) / total))}%`;
    line.show(
      now,
      { phase: 'reading', events, totalEvents: total ?? null, seconds, eventsPerSecond: rate, secondsLeft: left },
      `reading${share}: ${events} events${left === null || left < 0 ? '' : `, ${timeOf(left)} left`}`,
    );
  };
  return { listener, done: () => line.done() };
}

/** One line that is written over and over, or JSON a line. */
class ProgressLine {
  private told = Number.NEGATIVE_INFINITY;
  private shown = false;

  constructor(
    private readonly stream: TextStream,
    private readonly style: 'text' | 'json' | 'none',
  ) {}

  due(now: number, begins: boolean): boolean {
    return this.style !== 'none' && (begins || now - this.told >= MILLISECONDS);
  }

  show(now: number, facts: object, text: string): void {
    this.told = now;
    this.stream.write(this.style === 'json' ? `${JSON.stringify(facts)}\n` : `${CLEAR}${text}`);
    this.shown = true;
  }

  done(): void {
    if (this.shown && this.style === 'text') this.stream.write(CLEAR);
    this.shown = false;
  }
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
