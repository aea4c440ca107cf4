/**
 * Medians of the rounds, and ratios to Tunicorn. A noisy machine moves all servers of a round, so a ratio is that of
 * one round, and the median of the ratios counts. Pure.
 */

/**
 * @typedef {Record<string, number> | { error: string }} Result
 * @typedef {{ date: string, rounds: number, seconds: number, workers: number, offeredRate?: number,
 *   runs: Record<string, Result[]>, skipped: Record<string, string> }} Entry of one workload: results by server, by round.
 * @typedef {{ id: string, good: number, of: number, failure: string | null, figures: Record<string, number>,
 *   ratios: Record<string, number> }} Row `ratios`: of the server's figure to Tunicorn's.
 */

const OURS = 'tunicorn';

/** @param {Entry} entry @returns {Row[]} in the order of `runs`. */
export function summarize(entry) {
  return Object.entries(entry.runs).map(([id, results]) => {
    const good = results.filter(isGood);
    const failed = results.find((result) => !isGood(result));
    return {
      id,
      good: good.length,
      of: results.length,
      failure: failed ? String(failed.error) : null,
      figures: mediansOf(good),
      ratios: ratiosOf(results, entry.runs[OURS] ?? []),
    };
  });
}

/** @param {Result | undefined} result @returns {result is Record<string, number>} */
function isGood(result) {
  return result !== undefined && !('error' in result);
}

function mediansOf(results) {
  const keys = new Set(results.flatMap((result) => Object.keys(result)));
  return Object.fromEntries([...keys].map((key) => [key, median(numbers(results, key))]));
}

function numbers(results, key) {
  return results.map((result) => result[key]).filter(Number.isFinite);
}

function ratiosOf(results, ours) {
  const pairs = results.flatMap((result, round) =>
    isGood(result) && isGood(ours[round]) ? [quotients(result, ours[round])] : [],
  );
  return mediansOf(pairs);
}

function quotients(result, ours) {
  return Object.fromEntries(Object.keys(result).map((key) => [key, result[key] / ours[key]]));
}

/** @param {number[]} values @returns {number} NaN of none. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
