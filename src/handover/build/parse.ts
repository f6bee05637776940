import { Value } from 'typebox/value';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { type KhoBuildDescription, KhoBuildSchema } from './description.js';

/** Mistakes that are told at once. */
const MOST_MISTAKES = 8;
/** What only says that something below it is wrong. */
const OUTER = new Set(['anyOf', 'boolean', 'if', 'then']);

/**
 * Reads a description of a handover. Throws EXH_USAGE when it is no JSON, or not of the form of `exhume-kho-build/1`; the
 * message names the places.
 * @param name of the file, for messages
 */
export function parseDescription(text: string, name: string): KhoBuildDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ExhumeError('EXH_USAGE', `${name} is no JSON: ${messageOf(error)}`, { file: name });
  }
  return checkDescription(value, name);
}

/** As `parseDescription`, of what was read already. */
export function checkDescription(value: unknown, name: string): KhoBuildDescription {
  if (Value.Check(KhoBuildSchema, value)) return value;
  const mistakes = new Map<string, string[]>();
  for (const { keyword, instancePath, message, params } of Value.Errors(KhoBuildSchema, value)) {
    if (OUTER.has(keyword)) continue;
    const place = placeOf(instancePath) || 'the description';
    const unknown = 'additionalProperties' in params ? [params.additionalProperties].flat().join(', ') : undefined;
    const told = unknown === undefined ? message : `has what is not known: ${unknown}`;
    mistakes.set(place, [...new Set([...(mistakes.get(place) ?? []), told])]);
  }
  const told = [...mistakes].slice(0, MOST_MISTAKES).map(([place, messages]) => `${place}: ${messages.join(', or ')}`);
  const more = mistakes.size - told.length;
  throw new ExhumeError('EXH_USAGE', `${name}: ${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}`, {
    file: name,
    hint: 'schemas/kho-build.schema.json has the form; docs/commands/kho.md explains it',
  });
}

/** `/users/0/tree/~1data/csum` as `users[0].tree["/data"].csum`. */
function placeOf(pointer: string): string {
  let place = '';
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replace(/~1/g, '/').replace(/~0/g, '~');
    if (/^\d+$/.test(name)) place += `[${name}]`;
    else if (!/^[\w-]+$/.test(name)) place += `[${JSON.stringify(name)}]`;
    else place += place === '' ? name : `.${name}`;
  }
  return place;
}
