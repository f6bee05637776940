import { ExhumeError } from '../../bytes/errors.js';
import type { EventFormat } from '../model.js';

/** Characters and fields of all formats together; Linux 7.2 has some 500,000 and 11,000. */
const MOST_CHARACTERS = 1 << 25;
const MOST_FIELDS = 1 << 20;

/** Counts what formats hold, so that damaged lists that lead to the same places again and again do not fill the memory. */
export class FormatBudget {
  private characters = 0;
  private fields = 0;

  /** Throws EXH_BAD_STRUCTURE when there is more of it than any kernel has. */
  take({ printFormat, fields }: EventFormat): void {
    this.characters += printFormat.length;
    this.fields += fields.length;
    if (this.characters > MOST_CHARACTERS || this.fields > MOST_FIELDS) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'event formats hold more than those of any kernel', {
        found: `${this.fields} fields, ${this.characters} characters`,
      });
    }
  }
}
