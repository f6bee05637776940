import type { Argument, Command, Option } from 'commander';
import { examplesOf } from './command.js';
import { VERSION } from './version.js';

/** The manual page exhume(1), made from the definitions of the commands. */
export function manPage(program: Command): string {
  const lines = [
    `.TH EXHUME 1 "" "exhume ${VERSION}" "User Commands"`,
    '.SH NAME',
    'exhume \\- read what a dead Linux kernel left behind',
    '.SH SYNOPSIS',
    '.B exhume',
    '.RI [ options ]\\ file ...',
    '.br',
    '.B exhume',
    '.I command',
    '.RI [ options ]\\ file\\ [ operand ...]',
    '.SH DESCRIPTION',
    roff(program.description()),
    '.PP',
    'The file is recognised by its content: ELF cores (of QEMU, /proc/vmcore, /proc/kcore),',
    'kdump-compressed dumps, the flattened form of makedumpfile around either, and plain memory images.',
    'A split dump is opened by naming all its files; commands that take more than files take the first one',
    'as an operand and the others with',
    '.BR \\-\\-part .',
    '.PP',
    'Addresses are hexadecimal with or without 0x, symbols, or',
    '.IR symbol + offset .',
    'A word that is a symbol is taken for the symbol.',
    '.SH COMMANDS',
    ...program.commands.flatMap(commandSection),
    '.SH OPTIONS',
    'These belong to all commands, and stand before or after the command.',
    ...program.options.flatMap(optionEntry),
    '.SH EXIT STATUS',
    ...STATUSES.flatMap(([status, meaning]) => ['.TP', `.B ${status}`, meaning]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B NO_COLOR',
    'When set, text has no colours unless',
    '.B \\-\\-color always',
    'asks for them.',
    '.TP',
    '.B COLUMNS',
    'Width of the text where the output is not a terminal.',
    '.SH EXAMPLES',
    ...examplesOf(program).flatMap(exampleEntry),
    '.SH SEE ALSO',
    '.BR crash (8),',
    '.BR makedumpfile (8),',
    '.BR dmesg (1)',
  ];
  return `${lines.join('\n')}\n`;
}

const STATUSES: readonly (readonly [string, string])[] = [
  ['0', 'Answered.'],
  ['1', 'Answered in part: something was damaged or missing, and the answer says so.'],
  ['2', 'Wrong usage.'],
  ['3', 'Not a file that exhume knows, or one that it knows and cannot read.'],
  ['4', 'Failed.'],
];

function commandSection(command: Command): string[] {
  const operands = command.registeredArguments.map(operand).join(' ');
  const options = command.options.length > 0 ? ' [\\fIoptions\\fR]' : '';
  return [
    `.SS exhume ${roff(command.name())}${options} ${operands}`.trimEnd(),
    roff(command.description()),
    ...command.registeredArguments.flatMap((argument) => [
      '.TP',
      `\\fI${roff(argument.name())}\\fR`,
      `${roff(argument.description)}${argument.argChoices === undefined ? '' : ` (${argument.argChoices.join(', ')})`}`,
    ]),
    ...command.options.flatMap(optionEntry),
    ...(examplesOf(command).length > 0 ? ['.PP', 'Examples:'] : []),
    ...examplesOf(command).flatMap(exampleEntry),
  ];
}

function operand(argument: Argument): string {
  const name = `\\fI${roff(argument.name())}\\fR${argument.variadic ? '...' : ''}`;
  return argument.required ? name : `[${name}]`;
}

function optionEntry(option: Option): string[] {
  const flags = option.flags
    .split(/, */)
    .map((flag) =>
      roff(flag)
        .replace(/^(\S+)/, '\\fB$1\\fR')
        .replace(/<([^>]+)>/, '\\fI$1\\fR'),
    )
    .join(', ');
  const choices = option.argChoices === undefined ? '' : `: ${option.argChoices.join(', ')}`;
  const standard = option.defaultValue === undefined ? '' : `; by default ${option.defaultValue}`;
  return ['.TP', flags, `${roff(option.description)}${choices}${standard}`];
}

function exampleEntry({ command, says }: { command: string; says: string }): string[] {
  return ['.PP', `\\fB${roff(command)}\\fR`, '.RS', roff(says), '.RE'];
}

/** Text as roff takes it literally. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replace(/^([.'])/gm, '\\&$1');
}
