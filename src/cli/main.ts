/** The command `tunicorn`: reads the options, and does what they ask for. */
import { readSettings } from '../arbiter/settings.ts';
import type { Loaded } from '../config/load.ts';
import { renderHelp, renderSettings } from '../config/render.ts';
import { UserError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { requireApplication } from './application.ts';
import { commandHelp, commandOf } from './commands.ts';

/** What the command needs of its process, so that tests can call it. */
export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Columns of the terminal. */
  readonly columns: number;
  readonly print: (text: string) => void;
}

/** Runs the command as this process and sets its exit code: 1 for the caller's mistake, 3 for the application's. */
export async function main(argv: readonly string[]): Promise<void> {
  endQuietlyWithoutReader();
  try {
    process.exitCode = await run(argv, {
      env: process.env,
      cwd: process.cwd(),
      columns: process.stdout.columns ?? 80,
      print: (text) => void process.stdout.write(text),
    });
  } catch (error) {
    process.stderr.write(tellError(error));
    process.exitCode = error instanceof UserError ? error.exitCode : 1;
  }
}

/** @returns the exit code. @throws UserError */
export async function run(argv: readonly string[], options: CommandOptions): Promise<number> {
  const command = commandOf(argv);
  if (command !== undefined) return command.run(argv.slice(1), options);
  const { env, cwd, columns, print } = options;
  const loaded = await readSettings({ argv, env, cwd });
  switch (loaded.action) {
    case 'help':
      print(renderHelp(columns, commandHelp()));
      return 0;
    case 'version':
      print(`tunicorn (version ${VERSION})\n`);
      return 0;
    case 'print-config':
      print(renderSettings(loaded));
      return 0;
    case 'check-config':
      requireApplication(loaded.settings);
      return (await import('../arbiter/check.ts')).checkApplications(loaded.settings);
    case 'serve':
      requireApplication(loaded.settings);
      return serve(loaded, () => readSettings({ argv, env, cwd }));
  }
}

/** The arbiter is loaded only now: `--help` and mistakes are answered without it. */
async function serve(loaded: Loaded, reread: () => Promise<Loaded>): Promise<number> {
  const { runArbiter } = await import('../arbiter/main.ts');
  return runArbiter(loaded, { reread });
}

/** A mistake is told in its own words; what nobody foresaw with its stack, for a report. */
export function tellError(error: unknown): string {
  if (error instanceof UserError) return `tunicorn: ${error.message}\n`;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const system = `Tunicorn ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`;
  return `tunicorn: This should not happen. Please report it with these lines:\n${system}\n${stack}\n`;
}

/** `tunicorn --help | head -1` closes its end early: that is no mistake of anybody's. */
function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
