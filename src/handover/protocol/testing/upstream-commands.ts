import fc from 'fast-check';
import { Violation } from './frames.js';
import type { Claim, Item, ItemKind, World } from './world.js';

/** fast-check's model is the truth inside `World`; what is kept here is only what a command may be asked. */
type Nothing = Record<string, never>;

abstract class Step implements fc.Command<Nothing, World> {
  check(): boolean {
    return true;
  }

  run(_: Nothing, world: World): void {
    this.act(world);
    world.auditOwners();
  }

  protected abstract act(world: World): void;
  abstract toString(): string;
}

/** One of those that fit, by a number that is always at hand. */
function pick(world: World, choice: number, fits: (item: Item) => boolean): Item | undefined {
  const found = [...world.items.values()].filter(fits);
  return found[choice % Math.max(1, found.length)];
}

class Make extends Step {
  constructor(
    readonly kind: ItemKind,
    readonly count: number,
    readonly order: number,
    readonly place: number,
    readonly preserved: boolean,
  ) {
    super();
  }

  protected act(world: World): void {
    const item = world.make(this.kind, this.count, this.order, this.place);
    if (this.preserved && item !== undefined) world.preserve(item);
  }

  toString(): string {
    return `make(${this.kind}, ${this.count}, ${this.order}, ${this.place}, ${this.preserved})`;
  }
}

class Preserve extends Step {
  constructor(
    readonly choice: number,
    /** Requests for memory that are granted before one fails. */
    readonly granted: number | undefined,
  ) {
    super();
  }

  protected act(world: World): void {
    const item = pick(world, this.choice, ({ preserved }) => !preserved);
    if (item === undefined) return;
    world.kernel.frames.granted = this.granted;
    const refused = world.preserve(item);
    world.kernel.frames.granted = undefined;
    const allowed = world.kernel.finalized ? 'EBUSY' : this.granted === undefined ? undefined : 'ENOMEM';
    if (refused !== undefined && refused !== allowed) throw new Violation(`preserving was refused: ${refused}`);
  }

  toString(): string {
    return `preserve(${this.choice}, ${this.granted})`;
  }
}

class Unpreserve extends Step {
  constructor(readonly choice: number) {
    super();
  }

  protected act(world: World): void {
    const item = pick(world, this.choice, ({ preserved, user }) => preserved && user === undefined);
    if (item !== undefined) world.unpreserve(item);
  }

  toString(): string {
    return `unpreserve(${this.choice})`;
  }
}

class Free extends Step {
  constructor(readonly choice: number) {
    super();
  }

  protected act(world: World): void {
    const item = pick(world, this.choice, ({ preserved }) => !preserved);
    if (item !== undefined) world.free(item);
  }

  toString(): string {
    return `free(${this.choice})`;
  }
}

class Publish extends Step {
  constructor(
    readonly user: string,
    readonly most: number,
  ) {
    super();
  }

  protected act(world: World): void {
    const free = [...world.items.values()].filter(({ preserved, user }) => preserved && user === undefined);
    world.publish(this.user, free.slice(0, this.most));
  }

  toString(): string {
    return `publish(${this.user}, ${this.most})`;
  }
}

class Withdraw extends Step {
  constructor(readonly user: string) {
    super();
  }

  protected act(world: World): void {
    world.withdraw(this.user);
  }

  toString(): string {
    return `withdraw(${this.user})`;
  }
}

class Finalize extends Step {
  constructor(readonly granted: number | undefined) {
    super();
  }

  protected act(world: World): void {
    const { kernel } = world;
    kernel.frames.granted = this.granted;
    const before = kernel.finalized;
    const refused = kernel.finalize();
    kernel.frames.granted = undefined;
    if (before !== (refused === 'EEXIST')) throw new Violation(`finalize: ${refused}`);
  }

  toString(): string {
    return `finalize(${this.granted})`;
  }
}

class Abort extends Step {
  protected act(world: World): void {
    world.kernel.abort();
  }

  toString(): string {
    return 'abort';
  }
}

class Kexec extends Step {
  constructor(
    readonly early: readonly number[],
    readonly claims: readonly Claim[],
  ) {
    super();
  }

  protected act(world: World): void {
    const { kernel } = world;
    if (kernel.listed && !kernel.finalized) kernel.finalize();
    world.audit();
    if (!world.kexec(this.early, this.claims)) throw new Violation('no room for the next kernel');
  }

  toString(): string {
    return `kexec([${this.early.join(', ')}], [${this.claims.join(', ')}])`;
  }
}

const choice = fc.nat({ max: 30 });
const user = fc.constantFrom('a', 'b', 'c');
const granted = fc.oneof(
  { arbitrary: fc.constant(undefined), weight: 5 },
  { arbitrary: fc.nat({ max: 6 }), weight: 1 },
);
const place = fc.integer({ min: 0, max: 99 }).map((part) => part / 100);

/** Sequences of what kernels and their users do. */
export function upstreamCommands(withFinalize: boolean): fc.Arbitrary<Iterable<fc.Command<Nothing, World>>> {
  const kept = fc.boolean();
  const folio = fc
    .tuple(fc.nat({ max: 5 }), place, kept)
    .map(([order, at, keep]) => new Make('folio', 1, order, at, keep));
  const pages = fc
    .tuple(fc.integer({ min: 1, max: 40 }), place, kept)
    .map(([count, at, keep]) => new Make('pages', count, 0, at, keep));
  const vmalloc = fc
    .tuple(fc.integer({ min: 1, max: 12 }), fc.nat({ max: 2 }), place, kept)
    .map(([count, order, at, keep]) => new Make('vmalloc', count, order, at, keep));
  const preserve = fc.tuple(choice, granted).map(([which, grants]) => new Preserve(which, grants));
  const publish = fc.tuple(user, fc.nat({ max: 8 })).map(([who, most]) => new Publish(who, most));
  const claim = fc.constantFrom<Claim>('restore', 'restore', 'restore', 'discard', 'leave');
  const early = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
  const kexec = fc
    .tuple(early, fc.array(claim, { minLength: 1, maxLength: 4 }))
    .map(([frames, claims]) => new Kexec(frames, claims));
  const steps: fc.Arbitrary<Step>[] = [
    ...[folio, pages, vmalloc, folio, pages, vmalloc],
    ...[preserve, preserve, publish, publish, publish],
    choice.map((which) => new Unpreserve(which)),
    choice.map((which) => new Free(which)),
    user.map((who) => new Withdraw(who)),
    kexec,
  ];
  if (withFinalize)
    steps.push(
      granted.map((grants) => new Finalize(grants)),
      fc.constant(new Abort()),
    );
  return fc.commands(steps, { maxCommands: 40, size: 'max' }) as fc.Arbitrary<Iterable<fc.Command<Nothing, World>>>;
}
