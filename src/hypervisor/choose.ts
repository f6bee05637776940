import { ExhumeError } from '../bytes/errors.js';
import type { Guest } from './guest.js';

/** The ways to name a guest, by the word that may stand before: `pid:4711`. */
const WAYS: Readonly<Record<string, (guest: Guest, word: string) => boolean>> = {
  // Several may have one name; how they are shown is unique.
  name: ({ name, process }, word) => name === word || process?.name === word,
  index: ({ index }, word) => String(index) === word,
  pid: ({ process }, word) => String(process?.pid) === word,
  uuid: ({ process }, word) => process?.uuid?.toLowerCase() === word.toLowerCase(),
};

/** More are not listed in an error. */
const MOST_LISTED = 50;

/** The guest that a word names; undefined: none. Throws EXH_NO_GUEST, with the candidates, where it may be one of several. */
export function chooseGuest(guests: readonly Guest[], word: string): Guest | undefined {
  const found = candidates(guests, word);
  if (found.length > 1) {
    throw new ExhumeError('EXH_NO_GUEST', `${word} may be any of ${found.length} guests: ${listed(found)}`, {
      found: word,
      hint: 'say which: by the name as it is shown here, index:N, pid:N or uuid:UUID',
    });
  }
  return found[0];
}

function candidates(guests: readonly Guest[], word: string): readonly Guest[] {
  const whole = guests.filter((guest) => Object.values(WAYS).some((matches) => matches(guest, word)));
  if (whole.length > 0) return whole;
  const [, way = '', rest = ''] = /^(\w+):(.*)$/s.exec(word) ?? [];
  const matches = Object.hasOwn(WAYS, way) ? WAYS[way] : undefined;
  return matches === undefined ? [] : guests.filter((guest) => matches(guest, rest));
}

/** In words, to choose from. */
export function listed(guests: readonly Guest[]): string {
  const shown = guests.slice(0, MOST_LISTED).map(({ index, name, process }) => {
    const more = [process && `pid ${process.pid}`, process?.uuid].filter((part) => part !== undefined).join(', ');
    return more === '' ? `${index} ${name}` : `${index} ${name} (${more})`;
  });
  const left = guests.length - shown.length;
  return left > 0 ? `${shown.join(', ')}, and ${left} more` : shown.join(', ');
}
