import { type Damage, damageOf, type ErrorCode } from '../bytes/errors.js';

/** So many entries tell what is wrong; a broken file can have millions. */
const LIMIT = 64;

/** Collects what is broken in a file, without growing past a limit: the last entry then counts the rest. */
export class DamageLog {
  /** What was found so far; it grows while pages are read. */
  readonly entries: Damage[] = [];
  private more = 0;

  add(code: ErrorCode, part: string, message: string): void {
    this.push({ code, part, message });
  }

  /** Adds an error of ours; anything else is a bug and is thrown on. */
  addError(part: string, error: unknown): void {
    this.push(damageOf(part, error));
  }

  private push(damage: Damage): void {
    if (this.entries.length < LIMIT) {
      this.entries.push(damage);
      return;
    }
    this.more++;
    this.entries[LIMIT - 1] = { ...damage, message: `${damage.message} (and ${this.more} more like these)` };
  }
}
