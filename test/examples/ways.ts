/** The ways in which an example in TypeScript, `server.ts` in its folder, is run. */
import { join } from 'node:path';
import { ROOT, type Server, type StartOptions, startTunicorn } from '../support/tunicorn.ts';

const WAYS = {
  'node --import tunicorn/ts server.ts': {
    command: [process.execPath, '--import', 'tunicorn/ts', 'server.ts'],
    args: [],
    env: { PORT: '0' },
    python: null,
    ready: 'Listening at ',
  },
  'tunicorn server.ts': { args: ['server.ts', '--graceful-timeout', '1'] },
} satisfies Record<string, StartOptions>;

type Way = keyof typeof WAYS;

/** For `describe.each`. */
export const ways = Object.keys(WAYS) as Way[];

/** @param example Name of its folder. */
export function startExample(example: string, way: Way): Promise<Server> {
  return startTunicorn({ ...WAYS[way], cwd: join(ROOT, 'examples', example) });
}
