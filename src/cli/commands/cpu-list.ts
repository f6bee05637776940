import { InvalidArgumentError } from 'commander';

/** No kernel is built for more CPUs. */
const MOST_CPUS = 8192;

/** `0,2-3` as [0, 2, 3], in ascending order and each once. */
export function cpuList(text: string): number[] {
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const from = Number(first);
    const to = last === undefined ? from : Number(last);
    if (first === undefined || to < from || to >= MOST_CPUS)
      throw new InvalidArgumentError('It is not a list of CPUs.');
    for (let cpu = from; cpu <= to; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}
