/** What a promise resolves with, or after `patience` ms `late`. Rejects as the promise does. */
export async function within<T, L>(work: Promise<T>, patience: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<L>((resolve) => {
    timer = setTimeout(() => resolve(late), patience);
  });
  try {
    return await Promise.race([work, passed]);
  } finally {
    clearTimeout(timer);
  }
}
