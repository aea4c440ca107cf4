/** What /proc tells of a process, for checkups and the status page. */
import { readFileSync } from 'node:fs';

export interface Vitals {
  /** By SIGSTOP, not by a debugger. */
  readonly stopped: boolean;
  /** Resident memory in bytes. */
  readonly rss: number;
  /** CPU time since its start, in seconds. */
  readonly cpu: number;
}

/** Null when it is gone, or where there is no /proc. */
export function examine(pid: number): Vitals | null {
  if (pid <= 0) return null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything; what follows the last one is proc(5)'s field 3 and on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const { pageSize, ticks } = units();
    return {
      stopped: fields[0] === 'T',
      rss: Number(fields[21]) * pageSize,
      cpu: (Number(fields[11]) + Number(fields[12])) / ticks,
    };
  } catch {
    return null;
  }
}

interface Units {
  readonly pageSize: number;
  /** Clock ticks a second. */
  readonly ticks: number;
}

let known: Units | null = null;

/** From the auxiliary vector that the kernel gives each process (getauxval(3): AT_PAGESZ, AT_CLKTCK). */
function units(): Units {
  if (known !== null) return known;
  const vector = new Map<number, number>();
  const bytes = readFileSync('/proc/self/auxv');
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    vector.set(Number(bytes.readBigUInt64LE(at)), Number(bytes.readBigUInt64LE(at + 8)));
  }
  known = { pageSize: vector.get(6) ?? 4096, ticks: vector.get(17) ?? 100 };
  return known;
}
