import { describe, expect, test } from 'vitest';
import { parseMount, quoted } from '../../src/config/mount-text.ts';
import { splitWords } from '../../src/config/shell-words.ts';

describe('parseMount', () => {
  test.each<[string, string, string, [string, string | undefined][]]>([
    ['/=mysite.wsgi', '/', 'mysite.wsgi', []],
    ['/api=server.ts', '/api', 'server.ts', []],
    ['/api/=server.ts:app', '/api', 'server.ts:app', []],
    ['/shop/admin=shop:make(x=1)', '/shop/admin', 'shop:make(x=1)', []],
    ['/=', '/', '', []],
    ['/ä.b~c=x', '/ä.b~c', 'x', []],
    ['/..x=a', '/..x', 'a', []],
    ['/.well-known=a', '/.well-known', 'a', []],
    [
      '/api=a  workers=2..4 preload env="A=b c"',
      '/api',
      'a',
      [
        ['workers', '2..4'],
        ['preload', undefined],
        ['env', 'A=b c'],
      ],
    ],
  ])('%s', (text, prefix, app, words) => {
    const named = words.map(([name, value]) => ({ name, text: value }));
    expect(parseMount(text)).toEqual({ prefix, app, words: named });
  });

  test.each<[string, RegExp]>([
    ['', /PREFIX=APP/],
    ['/api', /PREFIX=APP/],
    ['=app', /PREFIX=APP/],
    ['api=x', /must begin with a slash/],
    ['/a?b=x', /plain path/],
    ['/a#b=x', /plain path/],
    ['/a%20b=x', /plain path/],
    ["'/a b=x'", /plain path/],
    ['//=x', /whole segments/],
    ['//a=x', /whole segments/],
    ['/a//b=x', /whole segments/],
    ['/a//=x', /whole segments/],
    ['/.=x', /whole segments/],
    ['/a/..=x', /whole segments/],
    ['/../a=x', /whole segments/],
    ['/a/./b=x', /whole segments/],
    ["/a='x", /quote that is never closed/],
  ])('refuses %j', (text, why) => {
    expect(() => parseMount(text)).toThrow(why);
  });
});

test.each(['plain-1.0/x', 'two words', "it's", '"x"', '', '\\', 'é'])(
  '%j is read as it was quoted',
  (word) => {
    expect(splitWords(quoted(word))).toEqual([word]);
  },
);
