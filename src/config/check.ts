/** Settings that are each good, and cannot be together. */
import { statSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { parseAddress } from './address.ts';
import type { Settings } from './options.ts';

/** @throws UserError that names the options and says how to make them agree */
export function checkTogether(settings: Settings): void {
  const problem =
    bindProblem(settings) ||
    frontsProblem(settings) ||
    forwardedProblem(settings) ||
    memoryProblem(settings) ||
    spoolProblem(settings);
  if (problem !== '') throw new UserError(problem);
}

function bindProblem({ bind }: Settings): string {
  if (bind.length === 0) return '--bind names no address. Leave it out for 127.0.0.1:8000.';
  const twice = bind.find((text, i) => bind.indexOf(text) < i && !isAnyPort(text));
  return twice === undefined ? '' : `--bind ${twice} is given twice. Name each address once.`;
}

function isAnyPort(text: string): boolean {
  const address = parseAddress(text);
  return address.kind === 'tcp' && address.port === 0;
}

function frontsProblem({ fronts, workers, mount }: Settings): string {
  // Each application has been looked at for itself.
  if (mount.length > 0) return '';
  const least = Math.max(1, workers.min);
  if (fronts <= least) return '';
  return `--fronts ${fronts} is more than --workers ${workers.min}: each worker belongs to one front, so ${fronts - least} of them could serve nothing. Use --fronts ${least} or --workers ${fronts}.`;
}

/** Which of two families is right nobody can tell, and one of them may be the client's own words. */
function forwardedProblem({ forwardedHeaders }: Settings): string {
  if (!forwardedHeaders.includes('forwarded') || forwardedHeaders.length === 1) return '';
  const others = forwardedHeaders.filter((name) => name !== 'forwarded');
  if (others.length === 0) return '';
  return `--forwarded-headers names forwarded together with ${others.join(', ')}. Choose the one family that your proxy sets itself: most set X-Forwarded-…`;
}

function memoryProblem({ bodyMemory, memoryLimit }: Settings): string {
  if (bodyMemory <= memoryLimit) return '';
  return `--body-memory ${bodyMemory} is more than --memory-limit ${memoryLimit}, which holds for all bodies together. Lower the first or raise the second.`;
}

function spoolProblem({ spoolDir }: Settings): string {
  if (statSync(spoolDir, { throwIfNoEntry: false })?.isDirectory()) return '';
  return `--spool-dir ${spoolDir} is not a folder. Name one that exists, on a disk rather than in memory.`;
}
