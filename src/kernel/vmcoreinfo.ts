/** VMCOREINFO: the page of text in which a kernel tells dump tools where things are (kernel/vmcore_info.c, crash_core.c). */
export interface Vmcoreinfo {
  /** The text as it stood, one `KEY=VALUE` a line. */
  readonly text: string;
  /** Every line, in order. */
  readonly lines: ReadonlyMap<string, string>;
  /** `SYMBOL(name)`: bare hexadecimal. */
  symbol(name: string): bigint | undefined;
  /** `OFFSET(struct.member)`: decimal bytes. */
  offset(struct: string, member: string): number | undefined;
  /** `SIZE(struct)`: decimal bytes. */
  size(struct: string): number | undefined;
  /** `LENGTH(name)`: decimal elements. */
  length(name: string): number | undefined;
  /** `NUMBER(name)`: decimal, signed, except where the kernel writes `0x…`. */
  number(name: string): bigint | undefined;
  readonly osrelease: string | undefined;
  /** 40 hexadecimal digits; kernels since 5.9. */
  readonly buildId: string | undefined;
  readonly pageSize: number | undefined;
  /** `KERNELOFFSET=`: bare hexadecimal, the KASLR offset in bytes. */
  readonly kernelOffset: bigint | undefined;
  /** `CRASHTIME=`: decimal seconds since 1970; only a kernel that panicked writes it. */
  readonly crashTime: number | undefined;
  /** Lines that are neither `KEY=VALUE` nor empty. */
  readonly junk: readonly string[];
}

/** More than any kernel writes (one page, at most 64 KiB); what lies beyond is not looked at. */
const LONGEST = 1 << 20;

/** `KEY=VALUE`, the key as the kernel writes them: `OSRELEASE`, `BUILD-ID`, `OFFSET(page.flags)`. */
const LINE = /^([A-Za-z0-9_-]+(?:\([^()=]*\))?)=(.*)$/;

/**
 * Reads VMCOREINFO text (ASCII, ends at the first NUL or with the bytes).
 * Never throws: a line that does not parse is junk, and a value that is no number of its kind is as if it were missing.
 * Where a key comes twice the last one counts, as the kernel appends.
 */
export function parseVmcoreinfo(bytes: Uint8Array): Vmcoreinfo {
  const bounded = bytes.subarray(0, LONGEST);
  const end = bounded.indexOf(0);
  const text = new TextDecoder().decode(end < 0 ? bounded : bounded.subarray(0, end));
  const lines = new Map<string, string>();
  const junk: string[] = [];
  for (const line of text.split('\n')) {
    const [, key, value] = LINE.exec(line) ?? [];
    if (key !== undefined && value !== undefined) lines.set(key, value);
    else if (line.trim() !== '') junk.push(line);
  }
  return new ParsedVmcoreinfo(text, lines, junk);
}

class ParsedVmcoreinfo implements Vmcoreinfo {
  readonly osrelease: string | undefined;
  readonly buildId: string | undefined;
  readonly pageSize: number | undefined;
  readonly kernelOffset: bigint | undefined;
  readonly crashTime: number | undefined;

  constructor(
    readonly text: string,
    readonly lines: ReadonlyMap<string, string>,
    readonly junk: readonly string[],
  ) {
    this.osrelease = lines.get('OSRELEASE') || undefined;
    this.buildId = /^[0-9a-f]{40}$/.exec(lines.get('BUILD-ID') ?? '')?.[0];
    this.pageSize = count(lines.get('PAGESIZE'));
    this.kernelOffset = hexadecimal(lines.get('KERNELOFFSET'));
    this.crashTime = count(lines.get('CRASHTIME'));
  }

  symbol(name: string): bigint | undefined {
    return hexadecimal(this.lines.get(`SYMBOL(${name})`));
  }

  offset(struct: string, member: string): number | undefined {
    return count(this.lines.get(`OFFSET(${struct}.${member})`));
  }

  size(struct: string): number | undefined {
    return count(this.lines.get(`SIZE(${struct})`));
  }

  length(name: string): number | undefined {
    return count(this.lines.get(`LENGTH(${name})`));
  }

  number(name: string): bigint | undefined {
    const value = this.lines.get(`NUMBER(${name})`);
    return value !== undefined && /^(?:-?\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(value)
      ? value.startsWith('-')
        ? -BigInt(value.slice(1))
        : BigInt(value)
      : undefined;
  }
}

/** A decimal number of bytes, elements or seconds. */
function count(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Bare hexadecimal of up to 64 bits. */
function hexadecimal(value: string | undefined): bigint | undefined {
  return value !== undefined && /^[0-9a-fA-F]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined;
}
