import type { Damage } from '../bytes/errors.js';
import { damageOf } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { Evidence, Kernel } from '../kernel/kernel.js';
import type { Machine } from '../machine/machine.js';
import { findControlGuests } from './control/find.js';
import type { Guest, GuestParts } from './guest.js';
import { makeGuests } from './guest-container.js';
import { findKvmGuests } from './kvm/find.js';

/** What guests are looked for in: a dump, opened as far as it can be. */
export interface Host {
  readonly container: Container;
  readonly machine: Machine | undefined;
  /** The kernel that may have run guests: the one that the caller chose. */
  readonly kernel: Kernel | undefined;
}

/** What one way of looking for guests found. */
export interface Findings {
  readonly guests: readonly GuestParts[];
  readonly evidence: readonly Evidence[];
  readonly damage: readonly Damage[];
}

/** A way of looking for guests. It gives undefined where there is nothing for it to look at. */
export interface Finder {
  readonly name: string;
  /** It reads all of the memory: not for who only wonders whether there are guests. */
  readonly readsAll?: boolean;
  find(host: Host): Findings | undefined;
}

/** In the order in which they are tried: the first that finds guests has the word. */
const FINDERS: readonly Finder[] = [
  { name: "KVM's structures", find: findKvmGuests },
  { name: 'control structures', find: findControlGuests, readsAll: true },
];

/** Those that cost little. */
export const QUICK_FINDERS: readonly Finder[] = FINDERS.filter(({ readsAll }) => readsAll !== true);

/** The guests in a machine's memory, and how they were looked for. */
export interface GuestSearch {
  readonly guests: readonly Guest[];
  readonly evidence: readonly Evidence[];
  readonly damage: readonly Damage[];
}

/** Finds the machines inside a dump. Never throws for what the dump holds: an empty list comes with the evidence of why. */
export function findGuests(host: Host, finders: readonly Finder[] = FINDERS): GuestSearch {
  const evidence: Evidence[] = [];
  const damage: Damage[] = [];
  for (const { name, find } of finders) {
    try {
      const found = find(host);
      evidence.push(...(found?.evidence ?? []));
      damage.push(...(found?.damage ?? []));
      if (found !== undefined && found.guests.length > 0) {
        return { guests: makeGuests(withNames(found.guests), host.container), evidence, damage };
      }
    } catch (error) {
      const broken = damageOf(`guests by ${name}`, error);
      damage.push(broken);
      evidence.push({ question: 'guests', method: name, answer: undefined, accepted: false, detail: broken.message });
    }
  }
  return { guests: [], evidence, damage };
}

/** A name that several have gets the pid of each, and where that is not enough a number. */
export function withNames(guests: readonly GuestParts[]): GuestParts[] {
  const counts = new Map<string, number>();
  for (const { name } of guests) counts.set(name, (counts.get(name) ?? 0) + 1);
  const taken = new Set<string>();
  return guests.map((guest) => {
    const { process } = guest;
    const base = counts.get(guest.name) === 1 || process === undefined ? guest.name : `${guest.name}@${process.pid}`;
    let name = base;
    for (let number = 2; taken.has(name); number++) name = `${base}-${number}`;
    taken.add(name);
    return { ...guest, name };
  });
}
