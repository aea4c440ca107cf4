/** What the processes of a server cost, from /proc: CPU time and memory of everything below the ones started here. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** @param {number[]} roots @returns {number[]} them and all below them. */
export function treeOf(roots) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = stat(Number(name));
    if (fields === null) continue;
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [...roots];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

/** @param {number[]} pids @returns {number} user and system time of them, in ms. */
export function cpuMs(pids) {
  let ticks = 0;
  for (const pid of pids) {
    const fields = stat(pid);
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/**
 * Memory of several processes together: what they have written as PSS counts it (shared pages once), and the pages of
 * their programs and libraries once for each program. PSS alone would count those by halves where another process of
 * the machine, such as the one that measures, runs the same program.
 * @param {number[]} pids @returns {number} bytes
 */
export function memoryOf(pids) {
  const files = new Map();
  let written = 0;
  for (const pid of pids) {
    const one = memory(pid);
    if (one === null) continue;
    written += one.written;
    files.set(one.program, Math.max(files.get(one.program) ?? 0, one.file));
  }
  return written + [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** @param {number} pid @returns {number} resident memory in bytes, everything that is shared included. */
export function residentOf(pid) {
  return kib(readFileSync(`/proc/${pid}/status`, 'latin1'), 'VmRSS');
}

/** @param {number} pid @returns {string} command line or title. */
export function titleOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** @param {number} pid @returns {string | null} tells a process from a later one with the same number; null when it is gone. */
export function birthOf(pid) {
  const fields = stat(pid);
  return fields === null || fields[0] === 'Z' ? null : (fields[19] ?? null);
}

function memory(pid) {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return {
      program: readlinkSync(`/proc/${pid}/exe`),
      written: kib(rollup, 'Pss_Anon') + kib(rollup, 'Pss_Shmem'),
      file: kib(status, 'RssFile'),
    };
  } catch {
    // It has ended meanwhile.
    return null;
  }
}

function kib(text, name) {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
}

/** Fields of /proc/PID/stat from the state on: [0] state, [1] parent, [11] utime, [12] stime, [19] start time. */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}
