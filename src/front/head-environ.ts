import type { Fields } from '../http/types.ts';

/** Takes what the access log wants of `environ` (`:environ.KEY`, in RESPONSE and FILE) out of an answer's fields. */
export function splitEnviron(words: Fields): [fields: Fields, environ: Map<string, string>] {
  const fields: Fields = [];
  const environ = new Map<string, string>();
  for (let i = 0; i < words.length; i += 2) {
    const [name, value] = [words[i] ?? '', words[i + 1] ?? ''];
    if (name.startsWith(':environ.')) environ.set(name.slice(':environ.'.length), value);
    else fields.push(name, value);
  }
  return [fields, environ];
}
