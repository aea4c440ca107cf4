import { describe, expect, it } from 'vitest';
import { FOREIGN_FLAGS } from '../../src/config/gunicorn.ts';
import { OPTIONS, type Option, ROWS, SECTIONS, variableOf } from '../../src/config/options.ts';
import { parseValue } from '../../src/config/values.ts';

/** Where no short letter of gunicorn's may be taken for something else, nor ours be two things. */
const RESERVED = ['h', 'v'];

describe('OPTIONS', () => {
  it.each(ROWS)('%s says all that a row must', (key, option) => {
    const words = option.name.split(/[-_]/);
    const camel = words
      .map((word, i) => (i === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
      .join('');
    expect(key).toBe(camel);
    expect(option.help).toMatch(/^[A-Z].*\.$/s);
    expect(option.help.length).toBeGreaterThan(40);
    expect(SECTIONS).toContain(option.section);
    expect(typeof option.reloadable).toBe('boolean');
  });

  it.each(ROWS.filter(([, { type }]) => ['count', 'seconds', 'size'].includes(type)))(
    '%s has a unit',
    (_key, option) => {
      expect(option.unit).toMatch(/./);
    },
  );

  it.each(ROWS)('%s has a default that is a good value', (_key, option) => {
    const texts = typeof option.default === 'string' ? [option.default] : option.default;
    expect(() => parseValue(option.type, texts, { folder: '/', min: option.min ?? 0 })).not.toThrow();
  });

  it('gives no name, letter or variable to two options', () => {
    const flags = [
      ...ROWS.flatMap(([, option]: readonly [string, Option]) => [
        option.name,
        ...(option.aliases ?? []),
        option.short,
      ]),
      ...FOREIGN_FLAGS.flatMap(({ names, short }) => [...names, short]),
      ...RESERVED,
    ].filter((flag) => flag !== undefined);
    expect(flags.filter((flag, i) => flags.indexOf(flag) < i)).toEqual([]);
    const variables = ROWS.flatMap(([, option]) => [variableOf(option), option.env]).filter(Boolean);
    expect(new Set(variables).size).toBe(variables.length);
  });
});

describe('variableOf', () => {
  it('writes the name in capitals', () => {
    expect(variableOf(OPTIONS.keepAlive)).toBe('TUNICORN_KEEP_ALIVE');
    expect(variableOf(OPTIONS.limitRequestFieldSize)).toBe('TUNICORN_LIMIT_REQUEST_FIELD_SIZE');
  });
});
