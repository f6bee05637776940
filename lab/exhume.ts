/** exhume as it is installed: the file that node is given. */

import { fileURLToPath } from 'node:url';

// From dist/lab.
export const EXHUME = fileURLToPath(new URL('../bin/main.cjs', import.meta.url));
