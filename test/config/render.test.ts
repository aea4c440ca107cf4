import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { ROWS } from '../../src/config/options.ts';
import { renderChosen, renderHelp, renderSettings } from '../../src/config/render.ts';

describe('renderHelp', () => {
  const help = renderHelp(80);

  it('says first what it is, how it is called, and shows an example', () => {
    const [first = ''] = help.split('\n');
    expect(first).toContain('Django, Flask');
    expect(help.split('\n').slice(0, 6).join('\n')).toMatch(
      /tunicorn \[options\] APP[\s\S]*tunicorn mysite\.wsgi /,
    );
  });

  it.each(ROWS)('tells of %s, with its letter and default', (_key, { name, short, help: text }) => {
    expect(help).toContain(short === undefined ? `  --${name}` : `  -${short}, --${name}`);
    expect(help.replace(/\s+/g, ' ')).toContain(text);
  });

  it('shows defaults with their units', () => {
    expect(help.replace(/\s+/g, ' ')).toContain('[30 s]');
    expect(help.replace(/\s+/g, ' ')).toContain('[127.0.0.1:8000]');
  });

  it.each([40, 80, 100])('fits into %i columns', (columns) => {
    const examples = /^ {2}(tunicorn|-|--)/;
    const long = renderHelp(columns)
      .split('\n')
      .filter((line) => line.length > columns && !examples.test(line) && line.trim().includes(' '));
    expect(long).toEqual([]);
  });
});

describe('renderSettings', () => {
  const show = (argv: string[], env = {}) => renderSettings(loadSettings({ argv, env, cwd: '/' }));

  it('shows every setting, and where it comes from', () => {
    const text = show(['-w', '3', 'app:app'], { TUNICORN_KEEP_ALIVE: '5', PORT: '81' });
    expect(text).toMatch(/^application +=\s+app:app$/m);
    expect(text).toMatch(/^workers +=\s+3 {3}\(--workers\)$/m);
    expect(show(['-w', '2..8'])).toMatch(/^workers +=\s+2\.\.8 {3}\(--workers\)$/m);
    expect(text).toMatch(/^keep-alive +=\s+5 {3}\(TUNICORN_KEEP_ALIVE\)$/m);
    expect(text).toMatch(/^bind +=\s+0\.0\.0\.0:81 {3}\(PORT\)$/m);
    expect(text).toMatch(/^timeout +=\s+30$/m);
    expect(text.split('\n').length).toBeGreaterThan(ROWS.length - 2);
  });

  it('shows the umask in octal, and of the environment only the names', () => {
    const text = show(['-m', '027', '-e', 'SECRET=abc', '--static', '/s/=/', '--accel', '/a=/']);
    expect(text).toMatch(/^umask +=\s+027 /m);
    expect(text).toMatch(/^env +=\s+SECRET=… /m);
    expect(text).not.toContain('abc');
    expect(text).toMatch(/^static +=\s+\/s\/=\/ /m);
    expect(text).toMatch(/^accel +=\s+\/a\/=\/ /m);
  });
});

describe('renderChosen', () => {
  it('shows only what somebody chose, and nothing when nobody did', () => {
    const chosen = (argv: string[]) => renderChosen(loadSettings({ argv, env: {}, cwd: '/' }));
    expect(chosen(['-w', '2', '--preload'])).toBe(
      'workers = 2   (--workers)\npreload = true   (--preload)\n',
    );
    expect(chosen(['app:app'])).toBe('');
  });
});
