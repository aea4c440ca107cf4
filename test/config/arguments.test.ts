import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/config/arguments.ts';
import { UserError } from '../../src/errors.ts';

function textsOf(...argv: string[]) {
  return Object.fromEntries(parseArguments(argv).texts);
}

describe('parseArguments', () => {
  it.each([
    [['--workers', '4']],
    [['--workers=4']],
    [['-w', '4']],
    [['-w4']],
    [['-w=4']],
    [['app', '-w4']],
    [['-w4', 'app']],
  ])('reads %j as four workers', (argv) => {
    expect(textsOf(...argv)).toEqual({ workers: ['4'] });
  });

  it('keeps every value of an option in order', () => {
    expect(textsOf('-b', ':1', '--bind', ':2', '-b:3')).toEqual({ bind: [':1', ':2', ':3'] });
  });

  it('takes letters in one word', () => {
    const { version, help, texts } = parseArguments(['-vhw3']);
    expect({ version, help, workers: texts.get('workers') }).toEqual({
      version: true,
      help: true,
      workers: ['3'],
    });
  });

  it('takes aliases', () => {
    expect(textsOf('--log-file', '-', '--limit-request-field-size', '1')).toEqual({
      errorLogfile: ['-'],
      limitRequestFieldSize: ['1'],
    });
  });

  it('finds applications before, between and behind options, and behind --', () => {
    expect(parseArguments(['a', '-w', '2', 'b', '--', '-c']).positionals).toEqual(['a', 'b', '-c']);
  });

  it("sorts out gunicorn's flags that are none of ours", () => {
    const { foreign } = parseArguments(['--worker-tmp-dir', '/dev/shm', '-R']);
    expect(foreign.map(({ written, value }) => [written, value])).toEqual([
      ['--worker-tmp-dir', '/dev/shm'],
      ['-R', 'true'],
    ]);
  });

  it.each([
    [['--workrs', '4'], 'There is no option --workrs. Did you mean --workers?'],
    [['--acess-log', '-'], 'Did you mean --access-logfile?'],
    [['--limit_request_line=1'], 'Did you mean --limit-request-line?'],
    [['--work', '4'], 'Did you mean --workers, --worker-class, --worker-connections or --worker-tmp-dir?'],
    [['--port', '80'], 'Did you mean --bind?'],
    [['--pre'], 'Did you mean --preload?'],
    [['--xyzzyplugh'], 'There is no option --xyzzyplugh. See tunicorn --help.'],
    [['-z'], 'There is no option -z. See tunicorn --help.'],
    [['--__proto__=1'], 'There is no option --__proto__.'],
    [['--bind'], '--bind needs a value.'],
    [['-b'], '-b needs a value.'],
    [['--bind', '--preload'], '--bind needs a value, and --preload looks like an option'],
    [['--preload=yes'], '--preload takes no value. Leave out =yes.'],
  ])('refuses %j', (argv, message) => {
    expect(() => parseArguments(argv)).toThrow(UserError);
    expect(() => parseArguments(argv)).toThrow(message);
  });

  it('takes a lone dash and a negative number for values', () => {
    expect(textsOf('--access-logfile', '-', '-w', '-1')).toEqual({ accessLogfile: ['-'], workers: ['-1'] });
  });

  it('names the source in its messages', () => {
    expect(() => parseArguments(['--workrs'], ' in GUNICORN_CMD_ARGS')).toThrow(
      'There is no option --workrs in GUNICORN_CMD_ARGS. Did you mean --workers?',
    );
  });
});
