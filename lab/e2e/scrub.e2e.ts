/** `convert --scrub user`: secrets that were put everywhere into real guests are gone, and the answers are not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scrubUser } from '../../src/convert/scrub.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { QUESTIONS } from '../../src/report/questions.js';
import { openSubject, requireKernel } from '../../src/report/subject.js';
import { occurrences, ScrubbedMemory } from '../../src/testing/scrubbed-memory.js';
import { secretOf } from '../deaths.js';
import { labDumps } from './support.js';

/** Where `lab/guest/exhume-lab-secrets.c` and the scene put one each. */
const PLACES = [
  ...['pipe', 'pipe-half', 'pipe-spare', 'unix', 'unix-datagram', 'tcp', 'tcp-back', 'udp'],
  ...['typed', 'printed', 'screen', 'key', 'logon', 'message', 'message-segment', 'posix-message', 'freed'],
  ...['file', 'memory', 'gone', 'environment', 'argument'],
];

/** As characters, and as a console keeps them: each with its colour, or in 32 bits. */
const FORMS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replace(/./g, '$&\x07'),
  (text) => text.replace(/./g, '$&\0\0\0'),
];

for (const scene of ['secrets-6.1', 'secrets-7.2']) {
  test(`${scene}: --scrub user leaves no secret, and every answer`, () => {
    const dump = labDumps().find(({ title }) => title.startsWith(`${scene}/`));
    assert.ok(dump !== undefined, `scene ${scene} is missing: npm run lab`);
    const container = openDumpFiles(dump.files);
    const whole = openSubject(container);
    const kernel = requireKernel(whole);
    const scrub = scrubUser(kernel);
    assert.deepEqual(scrub.damage, []);
    const memory = new ScrubbedMemory(kernel, scrub);
    const secrets = PLACES.map(secretOf);
    const before = occurrences(container.memory, secrets);
    for (const secret of secrets) assert.ok((before.get(secret) ?? 0) > 0, `${secret} was nowhere`);
    const after = occurrences(
      memory,
      FORMS.flatMap((form) => secrets.map(form)),
    );
    assert.deepEqual(
      [...after].filter(([, count]) => count > 0),
      [],
    );
    const scrubbed = openSubject({ ...container, memory });
    for (const { line, ask, ofProcesses } of QUESTIONS) {
      if (ofProcesses) continue;
      // Compared before equal(), whose message on megabytes takes minutes.
      assert.ok(JSON.stringify(ask(scrubbed)) === JSON.stringify(ask(whole)), `${line} differs`);
    }
  });
}
