/** The thread that keeps the records of all guests: what the disk is slow with keeps nobody waiting but those who asked. */

import { parentPort, workerData } from 'node:worker_threads';
import { plainError } from '../../bytes/plain-error.js';
import { HostStore } from '../../pstore/node/store.js';
import type { StoreSettings } from '../../pstore/policy.js';
import type { StoreAnswers, StoreQuestion, StoreRequest, StoreResponse, StoreStart } from './messages.js';

const port = parentPort;
if (port === null) throw new Error('this is the program of a worker thread');

const { directory, settings: first } = workerData as StoreStart;
let settings: StoreSettings = first;
let store: HostStore | undefined;

const post = (response: StoreResponse): void => port.postMessage(response);

/** Opened with the first question, so that what is wrong with the disk is its answer; and again with the next one. */
function opened(): HostStore {
  store ??= HostStore.open(directory, settings, { described: (described, path) => post({ described, path }) });
  return store;
}

port.on('message', (request: StoreRequest) => {
  switch (request.kind) {
    case 'reset':
    case 'close':
      if (store?.has(request.guest)) store.guest(request.guest)[request.kind]();
      return;
    case 'configure':
      settings = request.settings;
      store?.configure(settings);
      return;
    default:
      reply(request);
  }
});

function reply(request: StoreQuestion & { readonly id: number }): void {
  const { id } = request;
  let answered = false;
  const answer = (value: StoreAnswers[keyof StoreAnswers]): void => {
    if (!answered) post({ id, answer: value });
    answered = true;
  };
  try {
    answer(answerTo(request, answer));
  } catch (error) {
    post({ id, error: plainError(error) });
    return;
  }
  if (store === undefined || request.kind === 'next') return;
  post({ usage: 'guest' in request ? new Map([[request.guest, store.guest(request.guest).usage]]) : store.usage });
}

function answerTo(
  question: StoreQuestion,
  soon: (answer: StoreAnswers['write']) => void,
): StoreAnswers[keyof StoreAnswers] {
  switch (question.kind) {
    case 'begin':
      opened();
      return undefined;
    case 'end':
      store?.close();
      return undefined;
    case 'guest':
      opened().guest(question.guest);
      return undefined;
    case 'open':
      return opened().guest(question.guest).open();
    case 'next':
      return opened().guest(question.guest).next(question.most);
    case 'write':
      return opened().guest(question.guest).write(question.record, question.again, soon);
    case 'erase':
      return opened().guest(question.guest).erase(question.type, question.record);
  }
}
