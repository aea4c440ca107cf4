import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ROWS } from '../../src/config/options.ts';
import { renderSchema } from '../../src/config/schema.ts';

const schema = JSON.parse(renderSchema());

describe('renderSchema', () => {
  it('is what docs/tunicorn.schema.json holds (node scripts/docs.mjs --write brings it up to date)', () => {
    const path = new URL('../../docs/tunicorn.schema.json', import.meta.url);
    expect(readFileSync(path, 'utf8')).toBe(renderSchema());
  });

  it('has every option that a file can set, and the application', () => {
    const outside = ['config', 'check-config', 'print-config'];
    const names = ROWS.map(([, { name }]) => name).filter((name) => !outside.includes(name));
    expect(Object.keys(schema.properties)).toEqual(['app', ...names]);
    expect(schema.additionalProperties).toBe(false);
  });

  it.each([
    ['threads', { type: ['integer', 'string'], minimum: 1, default: 1 }],
    ['keep-alive', { type: ['number', 'string'], minimum: 0, default: 2 }],
    ['max-memory', { type: ['integer', 'string'], default: 0 }],
    ['preload', { type: 'boolean', default: false }],
    ['env', { type: ['string', 'array', 'object'] }],
    ['accel', { type: ['string', 'array', 'object'], default: [] }],
    ['sendfile-root', { type: ['string', 'array'], default: [] }],
    ['bind', { type: ['string', 'array'], default: ['127.0.0.1:8000'] }],
    ['umask', { type: 'string', default: '0' }],
  ])('describes %s', (name, part) => {
    expect(schema.properties[name]).toMatchObject(part);
    expect(schema.properties[name].description).toMatch(/\.$/);
  });

  it.each([
    ['keep_alive', true],
    ['log_file', true],
    ['limit-request-field-size', true],
    ['keepalive', false],
    ['keep-alives', false],
  ])('takes the spelling %s: %s', (name, good) => {
    const patterns = Object.keys(schema.patternProperties).map((pattern) => new RegExp(pattern));
    expect(patterns.some((pattern) => pattern.test(name))).toBe(good);
  });
});
