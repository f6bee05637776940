import type { Random } from '../../testing/random.js';

const NAMES = ['a', 'b', 'leaf@1', 'bus', 'x,y', '1f', 'cpus'] as const;
const PROPERTIES = ['reg', 'compatible', '#cells', 'reg-names', '0x1', 'a', 'phandle'] as const;
const SPACE = [' ', '\n', '\t', ' /* a > comment */ ', ' // another }\n'] as const;
const BITS = [8, 16, 32, 64] as const;
const STRINGS = ['""', '"a"', '"one\\ttwo\\x41\\0"', '"\\"\\\\\\1018"', '"two\nlines"', '"é"'] as const;
const NUMBERS = ['0', '1', '07', '42', '0x7fU', "'a'", "'\\n'", '0xffffffffffffffffULL', '4294967296L'] as const;
/** Where a label leads is not kept. */
const LOST = '/lost';
const BINARY = ['+', '-', '*', '<<', '>>', '&', '|', '^', '&&', '||', '==', '!=', '<', '>', '<=', '>='] as const;

/**
 * A random source text of all that the language has. Most are right; what is wrong in the others dtc refuses too: a second
 * name, a path that leads nowhere, a phandle twice.
 */
export function randomDts(random: Random): string {
  return new Writer(random).text();
}

class Writer {
  private readonly labels: string[] = [];
  private readonly paths: string[] = ['/'];
  private values = 0;

  constructor(private readonly random: Random) {}

  text(): string {
    let text = `/dts-v1/;${this.space()}`;
    while (this.random.below(3) === 0) text += `/memreserve/ ${this.number()} ${this.number()};\n`;
    text += `/ ${this.body('', 0)};\n`;
    while (this.random.below(4) > 0) text += this.more();
    // References may be to what comes later.
    return text.replaceAll('@REFERENCE@', () => this.reference());
  }

  private more(): string {
    const reference = this.reference();
    const path = this.random.pick(['/', ...this.paths]);
    // The root stays: dtc makes a tree without any node of it.
    const other = path === '/' ? this.paths[1] : path;
    switch (other === undefined ? 9 : this.random.below(8)) {
      case 0:
        return `/delete-node/ &{${other}};\n`;
      case 1:
        return `/omit-if-no-ref/ &{${other}};\n`;
      case 2:
        return `&{${path}} ${this.body(path === '/' ? '' : path, 1)};\n`;
      case 3:
        return `${this.label()} &{${other}} ${this.body(LOST, 1)};\n`;
      case 4:
      case 5:
        return `${reference} ${this.body(LOST, 1)};\n`;
      default:
        return `/ ${this.body('', 0)};\n`;
    }
  }

  private body(path: string, depth: number): string {
    const { random } = this;
    let text = `{${this.space()}`;
    for (const name of PROPERTIES) {
      if (random.below(4) > 0) continue;
      if (random.below(12) === 0) text += `/delete-property/ ${name};`;
      else if (name === 'phandle') text += random.below(8) > 0 ? '' : `phandle = <${1 + random.below(99)}>;`;
      else text += `${this.labelled()}${name}${this.value()};${this.space()}`;
    }
    for (const name of NAMES) {
      if (random.below(3 + depth) > 0) continue;
      if (random.below(12) === 0) {
        text += `/delete-node/ ${name};`;
        continue;
      }
      const omit = random.below(10) === 0 ? '/omit-if-no-ref/ ' : '';
      if (!path.startsWith(LOST)) this.paths.push(`${path}/${name}`);
      const label = random.below(2) === 0 ? this.label() : '';
      text += `${omit}${label}${this.space()}${name} ${this.body(`${path}/${name}`, depth + 1)};${this.space()}`;
    }
    return `${text}}`;
  }

  private value(): string {
    const pieces: string[] = [];
    while (this.random.below(2) === 0) pieces.push(`${this.labelled()}${this.piece()}`);
    return pieces.length === 0 ? '' : ` =${this.space()}${pieces.join(`${this.space()},`)}`;
  }

  private piece(): string {
    const { random } = this;
    switch (random.below(5)) {
      case 0:
        return random.pick(STRINGS);
      case 1:
        return '@REFERENCE@';
      case 2:
        return `[${Array.from({ length: random.below(6) }, () => `0${random.below(10)}`).join(random.below(2) ? ' ' : '')}]`;
      case 3: {
        const bits = random.pick(BITS);
        const mask = `0x${'f'.repeat(bits / 4)}`;
        return `/bits/ ${bits} <${this.several(() => `((${this.expression(0)}) & ${mask})`)}>`;
      }
      default:
        return `<${this.several(() => (random.below(3) ? `((${this.expression(0)}) & 0xffffffff)` : '@REFERENCE@'))}>`;
    }
  }

  private several(one: () => string): string {
    let text = '';
    while (this.random.below(3) > 0) text += `${this.labelled()}${one()}${this.space()}`;
    return text;
  }

  private expression(depth: number): string {
    const { random } = this;
    if (depth > 4 || random.below(4) === 0) return this.number();
    const next = (): string => this.expression(depth + 1);
    switch (random.below(6)) {
      case 0:
        return `${random.pick(['-', '~', '!'])} ${next()}`;
      case 1:
        return `(${next()} ? ${next()} : ${next()})`;
      case 2:
        return `(${next()})`;
      case 3:
        return `${this.number()} ${random.pick(['/', '%'])} (1 | (${next()}))`;
      default:
        return `${next()} ${random.pick(BINARY)} ${next()}`;
    }
  }

  private number(): string {
    return this.random.pick(NUMBERS);
  }

  private labelled(): string {
    // No reference is to it.
    return this.random.below(20) === 0 ? `v${this.values++}: ` : '';
  }

  /** No two are the same. */
  private label(): string {
    const label = `l${this.labels.length}`;
    this.labels.push(label);
    return `${label}: `;
  }

  private reference(): string {
    const { random, labels } = this;
    const path = random.pick(['/', ...this.paths]);
    return random.below(3) === 0 || labels.length === 0 ? `&{${path}}` : `&${labels[random.below(labels.length)]}`;
  }

  private space(): string {
    return this.random.pick(SPACE);
  }
}
