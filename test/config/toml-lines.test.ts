import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { lineFinder } from '../../src/config/toml-lines.ts';

const DOCUMENT = `# workers = 1
title = "workers = 2" # workers = 3
text = """
workers = 4
[env]
\\""" still """""
raw = '''
workers = 5 '''
list = [ # workers
  "a]", 'b[', # ]
  [1, 2],
]
"quoted \\"key\\"" = 1
'single.dotted' = 2
a.b . "c d" = 3
inline = { x = "}", y = [1] }
workers = 6

[env]
DEBUG = "1"
"workers" = "7"
[tool . "tunicorn"]
workers = 8
[tool.tunicorn.static]
"/static/" = "a"
[[many]]
x = 1
[[many]]
y = 2
date = 1979-05-27T07:32:00Z
last = true`;

describe('lineFinder', () => {
  it.each<[string[], number]>([
    [['title'], 2],
    [['text'], 3],
    [['raw'], 7],
    [['list'], 9],
    [['quoted "key"'], 13],
    [['single.dotted'], 14],
    [['a', 'b', 'c d'], 15],
    [['a', 'b'], 15],
    [['tool'], 22],
    [['inline'], 16],
    [['inline', 'x'], 16],
    [['workers'], 17],
    [['env'], 19],
    [['env', 'DEBUG'], 20],
    [['env', 'workers'], 21],
    [['tool', 'tunicorn'], 22],
    [['tool', 'tunicorn', 'workers'], 23],
    [['tool', 'tunicorn', 'static', '/static/'], 25],
    [['many'], 26],
    [['many', '0', 'x'], 27],
    [['many', '1'], 28],
    [['many', '1', 'y'], 29],
    [['many', '1', 'date'], 30],
    [['many', '1', 'last'], 31],
  ])('finds %j in line %i', (path, line) => {
    expect(() => parse(DOCUMENT)).not.toThrow();
    expect(lineFinder(DOCUMENT)(path)).toBe(line);
    expect(lineFinder(DOCUMENT.replaceAll('\n', '\r\n'))(path)).toBe(line);
  });

  it('reads past a byte order mark, and an empty document', () => {
    expect(lineFinder('\uFEFF\n workers = 1')(['workers'])).toBe(2);
    expect(lineFinder('')(['workers'])).toBe(1);
  });

  it('comes to an end with a document that is not good', () => {
    expect(() => lineFinder('= 1\n"')).toThrow('unexpected end of key');
  });
});
