/**
 * The words that stand where an application could: `tunicorn check`. Only the very first word is a command, so
 * that every option keeps its meaning; an application of that name is written `check:application`.
 */
import { check } from './check.ts';
import { CONTROL } from './control.ts';
import type { CommandOptions } from './main.ts';

export interface Command {
  /** What `--help` says of it, as one line without a full stop. */
  readonly help: string;
  /**
   * @param argv the words behind the command
   * @returns the exit code
   * @throws UserError
   */
  readonly run: (argv: readonly string[], options: CommandOptions) => Promise<number>;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  check: { help: 'Reads the configuration, tells every mistake and what would be served', run: check },
  ...CONTROL,
};

/** For `--help`. */
export function commandHelp(): { name: string; help: string }[] {
  return Object.entries(COMMANDS).map(([name, { help }]) => ({ name, help }));
}

/** The command that a command line begins with; undefined: it starts a server. */
export function commandOf([word = '']: readonly string[]): Command | undefined {
  return Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
}
