/** The name of a CPU list as people write it: `0-1,4`. */
export function cpuRange(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let index = 0; index < cpus.length; ) {
    let last = index;
    while (cpus[last + 1] === (cpus[last] ?? 0) + 1) last++;
    parts.push(last === index ? String(cpus[index]) : `${cpus[index]}-${cpus[last]}`);
    index = last + 1;
  }
  return parts.join(',');
}
