/** `tunicorn status` for people: a page for a terminal. */
import { count } from '../count.ts';
import type { FrontReport } from '../messages.ts';
import type { FrontStatus, MountStatus, Status, WorkerStatus } from '../status.ts';

/** @param columns of the terminal; addresses of requests are cut to fit */
export function renderStatus(status: Status, columns: number): string {
  return [
    ...head(status),
    '',
    ...(status.mounts.length > 1 ? [...status.mounts.map(mount), ''] : []),
    ...workers(status, columns),
    '',
    ...status.fronts.map(front),
    ...totals(status),
  ].join('\n');
}

function head({ version, pid, app, state, uptime, generation, listen, target, min, max }: Status): string[] {
  const bounds = min === max ? '' : ` (${min} to ${max})`;
  return [
    `${visible(app)}: ${state} for ${duration(uptime)}, generation ${generation}, ${count(target, 'worker')}${bounds}`,
    `Tunicorn ${version}, pid ${pid}, listening at ${listen.join(', ')}`,
  ];
}

/** One application of several. */
function mount({ prefix, app, state, generation, target, min, max, queue, totals }: MountStatus): string {
  const bounds = min === max ? '' : ` (${min} to ${max})`;
  const waiting = queue.waiting > 0 ? `, ${queue.waiting} waiting for up to ${duration(queue.oldest)}` : '';
  return `${prefix}: ${visible(app)}, ${state}, generation ${generation}, ${count(target, 'worker')}${bounds}, ${count(totals.requests, 'request')}${waiting}`;
}

const TEXTS: readonly string[] = ['state', 'mount'];
const HEADINGS = ['worker', 'pid', 'gen', 'state', 'age', 'requests', 'RSS', 'CPU'];

function workers({ workers: all, mounts }: Status, columns: number): string[] {
  if (all.length === 0) return ['There are no workers.'];
  const several = mounts.length > 1;
  const headings = several ? [...HEADINGS, 'mount'] : HEADINGS;
  const rows = all.map((worker) => [
    String(worker.id),
    String(worker.pid || '-'),
    String(worker.generation),
    worker.state,
    duration(worker.age),
    String(worker.requests),
    worker.rss === null ? '-' : bytes(worker.rss),
    worker.cpu === null ? '-' : `${worker.cpu.toFixed(1)} s`,
    ...(several ? [worker.mount] : []),
  ]);
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) =>
        TEXTS.includes(headings[i] ?? '') ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [
    line(headings),
    ...rows.flatMap((row, i) => [line(row), ...busyLanes(all[i], columns).map((text) => `        ${text}`)]),
  ];
}

/** What it serves right now. */
function busyLanes(worker: WorkerStatus | undefined, columns: number): string[] {
  return (worker?.lanes ?? []).flatMap(({ request, forMs }) => {
    if (request === '') return [];
    const since = ` for ${duration(forMs / 1000)}`;
    return [`${cut(visible(request), Math.max(20, columns - 8 - since.length))}${since}`];
  });
}

function front({ slot, pid, state, rss, report }: FrontStatus): string {
  const memory = rss === null ? '' : `, ${bytes(rss)}`;
  const what =
    report === null
      ? 'no figures'
      : `${count(report.connections, 'connection')}, ${count(waitingAt(report), 'request', 'waiting')}, ${bytes(report.memory)} held, ${bytes(report.spooled)} spooled`;
  return `front ${slot + 1} (pid ${pid || '-'}): ${state}, ${what}${memory}`;
}

function waitingAt({ mounts }: FrontReport): number {
  return mounts.reduce((sum, { waiting }) => sum + waiting, 0);
}

function totals({ queue, totals: { requests, statuses, retried, restarts } }: Status): string[] {
  const classes = new Map<string, number>();
  for (const [status, number] of Object.entries(statuses)) {
    const name = status === '499' ? 'client left' : `${status[0]}xx`;
    classes.set(name, (classes.get(name) ?? 0) + number);
  }
  const list = (entries: Iterable<readonly [string, number]>) =>
    [...entries].map(([name, number]) => `${name} ${number}`).join(', ');
  const replaced = list(Object.entries(restarts));
  const lines = [
    `queue: ${queue.waiting} waiting${queue.waiting > 0 ? `, the first for ${duration(queue.oldest)}` : ''}`,
    `requests: ${requests}${requests > 0 ? ` (${list(classes)})` : ''}${retried > 0 ? `, ${retried} tried twice` : ''}`,
  ];
  return replaced === '' ? lines : [...lines, `workers replaced: ${replaced}`];
}

/** `850 ms`, `12 s`, `3 min 5 s`, `4 h 10 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** `512 B`, `34.5 MiB`. */
export function bytes(amount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = amount;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** A client's bytes must not reach the terminal as orders to it (CWE-150). */
function visible(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
