import { type Damage, isExhumeError } from '../bytes/errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { Stacks } from '../kernel/stacks/stacks.js';
import { readTasks, type TaskList } from '../kernel/tasks/task-list.js';
import { absence, isAbsence } from './absence.js';
import type { Absence } from './schema/common.js';

/** What a step gives, or why it cannot. Errors that are not about the dump go on. */
export function orAbsence<T>(step: () => T): T | Absence {
  try {
    return step();
  } catch (error) {
    if (isExhumeError(error)) return absence(error);
    throw error;
  }
}

/** The inside of a dead kernel, for the sections of the report that walk it: each part is read when first asked for, once. */
export class Inside {
  private readonly ownDamage: Damage[] = [];
  private theView: KernelView | Absence | undefined;
  private theStacks: Stacks | Absence | undefined;
  private theTasks: TaskList | Absence | undefined;

  constructor(readonly kernel: Kernel) {}

  get view(): KernelView | Absence {
    this.theView ??= orAbsence(() => new KernelView(this.kernel));
    return this.theView;
  }

  get stacks(): Stacks | Absence {
    const { view } = this;
    this.theStacks ??= isAbsence(view) ? view : orAbsence(() => new Stacks(view));
    return this.theStacks;
  }

  get tasks(): TaskList | Absence {
    const { view } = this;
    this.theTasks ??= isAbsence(view) ? view : orAbsence(() => readTasks(view));
    return this.theTasks;
  }

  /** A section out of the kernel's types and memory; what it finds broken is noted. */
  section<T>(read: (view: KernelView, damage: Damage[]) => T): T | Absence {
    const { view } = this;
    return isAbsence(view) ? view : orAbsence(() => read(view, this.ownDamage));
  }

  /** Everything that was found broken so far. */
  get damage(): Damage[] {
    const of = (part: { readonly damage: readonly Damage[] } | Absence | undefined): readonly Damage[] =>
      part === undefined || isAbsence(part) ? [] : part.damage;
    return [...this.ownDamage, ...of(this.theStacks), ...of(this.theTasks)];
  }
}
