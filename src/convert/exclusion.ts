import type { Kernel } from '../kernel/kernel.js';
import { ALWAYS_DROPPED, PAGE_CLASS, PageClassifier, readPageFacts } from '../kernel/memory/page-classes.js';

/** The classes that a page of several counts in, the first one: makedumpfile asks in this order. */
const ORDER = ['free', 'cache', 'private', 'user', 'poisoned', 'offline'] as const;

/** The bits of makedumpfile's `-d` that take a look at `struct page`. */
const BY_STRUCT = PAGE_CLASS.cache | PAGE_CLASS.private | PAGE_CLASS.user | PAGE_CLASS.free;

/**
 * Every class by which pages can be left out, as it is called in answers. `beyond` is what the kernel has no page structs
 * for, which a kdump file cannot have; `unneeded` what exhume needs for no answer;
 * `scrubbed` what holds data of users beside the classes.
 */
export const EXCLUDED_CLASSES = ['zero', ...ORDER, 'beyond', 'unneeded', 'scrubbed'] as const;

export type ExcludedClass = (typeof EXCLUDED_CLASSES)[number];

/** Said of a page whose class cannot be told: its `struct page` is not in the dump, or there is none. It is kept. */
export const UNKNOWN_CLASS = 0xff;

/**
 * The class of each page from a frame number on that is to be left out: its index in EXCLUDED_CLASSES and 1. For the
 * others 0, or UNKNOWN_CLASS.
 */
export type ClassDecider = (firstPfn: number, into: Uint8Array) => void;

/**
 * Decides by the kernel's own account which pages a dump level drops; undefined for a level that does not ask for it.
 * Throws EXH_NO_LAYOUT when the kernel tells too little.
 * @param level makedumpfile's `-d`
 * @param kernel is asked only where it is needed; may throw EXH_NO_KERNEL
 */
export function classDecider(level: number, kernel: () => Kernel): ClassDecider | undefined {
  if ((level & BY_STRUCT) === 0) return undefined;
  const { memory } = kernel();
  const classifier = new PageClassifier(memory, readPageFacts(kernel()));
  const dropped = level | ALWAYS_DROPPED;
  const names = Uint8Array.from({ length: 256 }, (_, bits) => {
    const name = ORDER.find((one) => (bits & dropped & PAGE_CLASS[one]) !== 0);
    if (name !== undefined) return EXCLUDED_CLASSES.indexOf(name) + 1;
    return (bits & PAGE_CLASS.unknown) !== 0 ? UNKNOWN_CLASS : 0;
  });
  return (firstPfn, into) => {
    classifier.classify(firstPfn, into);
    for (let i = 0; i < into.length; i++) into[i] = names[into[i] as number] as number;
  };
}
