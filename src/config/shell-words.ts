/** Splits a line into words, `GUNICORN_CMD_ARGS` as gunicorn does and `--mount` likewise: by the rules of a POSIX shell (Shell Command Language, 2.2 Quoting). */
import { UserError } from '../errors.ts';

/** A run without quotes, a backslash pair, '…', "…", or white space. */
const TOKEN = /([^\s\\'"]+)|\\([\s\S])|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|(\s+)/y;

/**
 * The words of a line. Between double quotes a backslash protects only `"` and `\`.
 * @param source how messages call the line
 * @throws UserError when a quote is not closed or the line ends in a backslash
 */
export function splitWords(line: string, source = 'GUNICORN_CMD_ARGS'): string[] {
  const words: string[] = [];
  let word: string | null = null;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < line.length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(line);
    if (found === null) throw new UserError(`${source} ${unfinished(line, at)}`);
    const [, plain, escaped, single, double, space] = found;
    if (space === undefined) {
      word = (word ?? '') + (plain ?? escaped ?? single ?? double?.replace(/\\(["\\])/g, '$1') ?? '');
    } else if (word !== null) {
      words.push(word);
      word = null;
    }
  }
  return word === null ? words : [...words, word];
}

function unfinished(line: string, at: number): string {
  const what =
    line[at] === '\\' ? 'ends in a backslash' : `has a quote that is never closed: ${line.slice(at)}`;
  return `${what}. Quote it as in a shell.`;
}
