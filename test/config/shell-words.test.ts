import { describe, expect, it } from 'vitest';
import { splitWords } from '../../src/config/shell-words.ts';
import { UserError } from '../../src/errors.ts';

describe('splitWords', () => {
  // Each expectation is what Python's shlex.split, which gunicorn uses, gives for the same line.
  it.each([
    ['', []],
    ['  \t\n', []],
    ['--bind=:8000  -w 4', ['--bind=:8000', '-w', '4']],
    [`--access-logformat='%(h)s "%(r)s"'`, ['--access-logformat=%(h)s "%(r)s"']],
    [`--access-logformat "%(h)s \\"%(r)s\\""`, ['--access-logformat', '%(h)s "%(r)s"']],
    ['a\\ b c', ['a b', 'c']],
    [`"a b"'c d'e`, ['a bc de']],
    [`'' ""`, ['', '']],
    [`"a\\nb" 'a\\b'`, ['a\\nb', 'a\\b']],
    [`"\\\\"`, ['\\']],
    ['# no comment', ['#', 'no', 'comment']],
  ])('splits %j', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  it.each([
    [`-w 4 'open`, `a quote that is never closed: 'open`],
    [`"open`, 'never closed'],
    ['end\\', 'ends in a backslash'],
  ])('refuses %j', (line, message) => {
    expect(() => splitWords(line)).toThrow(UserError);
    expect(() => splitWords(line)).toThrow(message);
  });
});
