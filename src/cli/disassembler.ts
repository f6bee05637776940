import type { Formatter, Instruction } from 'iced-x86';
import type { DecodedInstruction, Disassemble } from '../report/dis.js';

/** The disassembler of x86-64 (iced), loaded when it is first asked for: it takes longer than all else of a command. */
export async function loadDisassembler(): Promise<Disassemble> {
  const iced = await import('iced-x86');
  return function* disassemble(code: Uint8Array, address: bigint): Generator<DecodedInstruction> {
    const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
    const formatter = new iced.Formatter(iced.FormatterSyntax.Gas);
    try {
      asGdb(formatter);
      decoder.ip = address;
      while (decoder.canDecode) {
        const instruction = decoder.decode();
        const valid = instruction.code !== iced.Code.INVALID;
        const text = valid ? plain(formatter.format(instruction)) : '(bad)';
        const branch = [
          iced.FlowControl.Call,
          iced.FlowControl.UnconditionalBranch,
          iced.FlowControl.ConditionalBranch,
          iced.FlowControl.XbeginXabortXend,
        ].includes(instruction.flowControl);
        const target = valid ? targetOf(instruction, branch) : undefined;
        const length = valid ? instruction.length : 1;
        if (!valid) {
          // One byte that is no instruction is passed over, as binutils does, and not all that were looked at.
          decoder.position += length - instruction.length;
          decoder.ip = instruction.ip + BigInt(length);
        }
        instruction.free();
        yield { length, text, target, valid };
      }
    } finally {
      decoder.free();
      formatter.free();
    }
  };
}

/** Where it branches to, or what it addresses relative to itself. */
function targetOf(instruction: Instruction, branch: boolean): bigint | undefined {
  if (instruction.isIpRelMemoryOperand) return instruction.ipRelMemoryAddress;
  // An indirect branch tells its target only when it is run.
  return branch && instruction.nearBranchTarget !== 0n ? instruction.nearBranchTarget : undefined;
}

/** AT&T syntax as binutils writes it. */
function asGdb(formatter: Formatter): void {
  formatter.uppercaseHex = false;
  formatter.smallHexNumbersInDecimal = false;
  formatter.firstOperandCharIndex = 7;
  formatter.showZeroDisplacements = true;
  formatter.ripRelativeAddresses = true;
  formatter.branchLeadingZeros = false;
  formatter.showUselessPrefixes = true;
}

const STRING_INSTRUCTION = /^(?:rep\w* )?(?:stos|scas|movs|cmps|lods|ins|outs)[bwlq]?\s/;

/** Binutils writes out the scale 1 where there is an index, and the segments of string instructions. */
function plain(text: string): string {
  const scaled = text.replace(/\((%\w+)?,(%\w+)\)/, '($1,$2,1)').trimEnd();
  if (!STRING_INSTRUCTION.test(scaled)) return scaled;
  return scaled.replace(/(?<!:)\(%rdi\)/, '%es:(%rdi)').replace(/(?<!:)\(%rsi\)/, '%ds:(%rsi)');
}
