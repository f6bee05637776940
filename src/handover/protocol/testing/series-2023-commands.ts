import fc from 'fast-check';
import { Violation } from './frames.js';
import type { Claim } from './world.js';
import type { World2023 } from './world-2023.js';

type Nothing = Record<string, never>;

/** A step that is told by its name and what it was given. */
class Step implements fc.Command<Nothing, World2023> {
  constructor(
    private readonly text: string,
    private readonly act: (world: World2023) => void,
  ) {}

  check(): boolean {
    return true;
  }

  run(_: Nothing, world: World2023): void {
    this.act(world);
    world.audit();
  }

  toString(): string {
    return this.text;
  }
}

/** Users are asked in turn until one refuses; a refusal leaves nothing active, and all are told. */
function activate(world: World2023, refusing: string): void {
  if (world.kernel.active) return;
  const refuser = world.rings.get(refusing);
  if (refuser !== undefined) refuser.refuses = true;
  toldOfEnd(world, refuser !== undefined, () => {
    const done = world.kernel.activate();
    if (done === (refuser !== undefined) || world.kernel.active !== done)
      throw new Violation('a refusal was not heard');
  });
  if (refuser !== undefined) refuser.refuses = false;
}

function deactivate(world: World2023): void {
  toldOfEnd(world, world.kernel.active, () => world.kernel.deactivate());
}

/** Every user is told once that nothing is handed over, or none is. */
function toldOfEnd({ rings }: World2023, expected: boolean, act: () => void): void {
  const before = [...rings.values()].map((ring) => ({ ring, aborted: ring.aborted }));
  act();
  for (const { ring, aborted } of before) {
    if (ring.aborted !== aborted + (expected ? 1 : 0))
      throw new Violation('a user was not told of the end, or in vain');
  }
}

const name = fc.constantFrom('a', 'b', 'c', 'd');

export const series2023Commands: fc.Arbitrary<Iterable<fc.Command<Nothing, World2023>>> = fc.commands(
  [
    ...[0, 1].map(() =>
      fc
        .tuple(name, fc.integer({ min: 3, max: 60 }), fc.nat({ max: 99 }))
        .map(
          ([ring, pages, place]) =>
            new Step(`make(${ring}, ${pages}, ${place})`, (world) => void world.make(ring, pages, place / 100)),
        ),
    ),
    name.map((ring) => new Step(`drop(${ring})`, (world) => void world.drop(ring))),
    ...['', '', 'a'].map((refusing) =>
      fc.constant(new Step(`activate(${refusing})`, (world) => activate(world, refusing))),
    ),
    fc.constant(new Step('deactivate', deactivate)),
    fc
      .tuple(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
        fc.array(fc.constantFrom<Claim>('restore', 'restore', 'discard', 'leave'), { minLength: 1, maxLength: 4 }),
      )
      .map(
        ([early, claims]) =>
          new Step(`kexec([${early.join()}], [${claims.join()}])`, (world) => {
            if (!world.kexec(early, claims)) throw new Violation('the next kernel cannot be loaded');
          }),
      ),
  ],
  { maxCommands: 40, size: 'max' },
) as fc.Arbitrary<Iterable<fc.Command<Nothing, World2023>>>;
