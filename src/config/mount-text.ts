/** `--mount` as it is written: `/api=server.ts workers=2`. What the words mean is judged in `mounts.ts`. */
import { UserError } from '../errors.ts';
import { splitWords } from './shell-words.ts';

export interface MountText {
  /** `/`, or whole segments without a slash at the end. */
  readonly prefix: string;
  /** Empty: Django's is looked for. */
  readonly app: string;
  /** Settings of its own; `text` is undefined where there is only a name. */
  readonly words: readonly { readonly name: string; readonly text: string | undefined }[];
}

/** @throws {UserError} which says what is good */
export function parseMount(text: string): MountText {
  const [first = '', ...rest] = splitWords(text, 'It');
  const [prefix, app] = cut(first);
  if (app === undefined || prefix === '') {
    throw new UserError(
      "A good value is PREFIX=APP, perhaps with settings of its own: /api=server.ts, '/=mysite.wsgi workers=4 timeout=60'.",
    );
  }
  return { prefix: mountPrefix(prefix), app, words: rest.map(wordOf) };
}

/** Quoted, so that `parseMount` reads it as it stands. */
export function quoted(word: string): string {
  return /^[\w\-./:,=@+]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function wordOf(word: string): MountText['words'][number] {
  const [name, text] = cut(word);
  return { name, text };
}

function cut(word: string): [left: string, right: string | undefined] {
  const at = word.indexOf('=');
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/**
 * The prefix is compared with the decoded path: what would have to be encoded, or would be taken for something else in a
 * URL, could never be met, or would be met by surprise.
 */
function mountPrefix(text: string): string {
  const prefix = text === '/' ? text : text.replace(/\/$/, '');
  const wrong = (why: string) => new UserError(`The prefix ${JSON.stringify(text)} ${why}, such as /api.`);
  if (!prefix.startsWith('/')) throw wrong('must begin with a slash');
  if (/[?#%\\\0-\x20\x7f]/.test(prefix)) throw wrong('must be a plain path without ?, #, %, \\ or spaces');
  if (/\/\/|\/\.{1,2}(\/|$)/.test(text)) {
    throw wrong('must be made of whole segments, without //, /./ or /../');
  }
  return prefix;
}
