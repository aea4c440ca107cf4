import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FILE_ONLY, FOREIGN_FLAGS } from '../../src/config/gunicorn.ts';
import { ROWS, variableOf } from '../../src/config/options.ts';
import { renderConfigurationPage } from '../../src/config/page.ts';

describe('renderConfigurationPage', () => {
  const page = renderConfigurationPage();

  it('is what docs/configuration.md holds (node scripts/docs.mjs --write brings it up to date)', () => {
    expect(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')).toBe(page);
  });

  it.each(ROWS)('tells of %s: flag, variable, default, unit, and what gunicorn does', (_key, option) => {
    const part = page.split(/^### /m).find((text) => text.startsWith(`--${option.name}\n`)) ?? '';
    expect(part).toContain(`\`${variableOf(option)}\``);
    expect(part).toContain(option.help);
    expect(part).toMatch(/reloadable|needs a restart/);
    expect(part).toMatch(/^(As in gunicorn|Unlike gunicorn: |gunicorn has no such option|Without effect: )/m);
    if (option.unit !== undefined) expect(part).toContain(option.unit);
  });

  it("tells the fate of gunicorn's other flags", () => {
    for (const { names } of FOREIGN_FLAGS) for (const name of names) expect(page).toContain(`\`--${name}\``);
  });

  it("tells the fate of what gunicorn's file alone sets", () => {
    for (const name of Object.keys(FILE_ONLY)) expect(page).toContain(`| \`${name}\` | `);
  });

  it('lists the atoms of the access log', () => {
    for (const atom of [
      'h',
      'l',
      'u',
      't',
      'r',
      'm',
      'U',
      'q',
      'H',
      's',
      'B',
      'b',
      'f',
      'a',
      'T',
      'D',
      'M',
      'L',
      'p',
    ]) {
      expect(page).toContain(`\`%(${atom})s\``);
    }
  });
});
