/**
 * The workloads, one row each: what is asked of the application, by which load (loads.mjs), and which figures stand in
 * its table beside the usual ones.
 */

/**
 * @typedef {{ key: string, title: string, digits: number, isLess: boolean }} Figure `isLess`: less is better.
 * @typedef {{ id: string, title: string, module: 'plain' | 'django_site', path: string, isPost?: boolean,
 *   connections: number, threads: number, load: keyof typeof import('./loads.mjs').LOADS, crowd?: number,
 *   keepAlive?: number, more?: Figure[], chart?: string }} Workload
 *   `threads`: of each worker; `crowd`: clients that are only there; `chart`: the figure that is drawn, else requests/s.
 */

export const PLAIN = { module: /** @type {const} */ ('plain'), path: '/', connections: 32, threads: 1 };
const DJANGO = { ...PLAIN, module: /** @type {const} */ ('django_site') };

/** @type {Figure[]} In every table. */
export const FIGURES = [
  { key: 'rate', title: 'requests/s', digits: 0, isLess: false },
  { key: 'p50Ms', title: 'p50 ms', digits: 2, isLess: true },
  { key: 'p99Ms', title: 'p99 ms', digits: 2, isLess: true },
  { key: 'cpuUs', title: 'CPU µs per request', digits: 0, isLess: true },
  { key: 'memoryMib', title: 'peak memory MiB', digits: 0, isLess: true },
];

/** @type {Workload[]} */
export const WORKLOADS = [
  { ...PLAIN, id: 'hello-1', title: 'Hello, 1 connection', load: 'wrk', connections: 1 },
  { ...PLAIN, id: 'hello-32', title: 'Hello, 32 connections', load: 'wrk' },
  { ...PLAIN, id: 'hello-256', title: 'Hello, 256 connections', load: 'wrk', connections: 256 },
  {
    ...DJANGO,
    id: 'django-hello',
    title: 'Hello through Django, 32 connections',
    load: 'fair',
    more: [
      { key: 'slowestShare', title: 'share of the slowest connection (1 is fair)', digits: 2, isLess: false },
    ],
  },
  {
    ...DJANGO,
    id: 'django-page',
    title: 'Django page: query and template of 20 rows, 32 connections',
    path: '/page',
    load: 'wrk',
  },
  { ...PLAIN, id: 'post', title: 'POST of 64 KiB, 32 connections', path: '/post', isPost: true, load: 'wrk' },
  { ...PLAIN, id: 'big', title: 'Answer of 1 MiB, 32 connections', path: '/big', load: 'wrk' },
  {
    ...PLAIN,
    id: 'file',
    title: 'File of 10 MB by wsgi.file_wrapper, 8 connections',
    path: '/file',
    connections: 8,
    load: 'wrk',
  },
  {
    ...PLAIN,
    id: 'mixed',
    title: 'Mixed load: 2 % take 200 ms; times are those of the fast ones',
    path: '/fast',
    threads: 4,
    load: 'mixed',
    chart: 'p99Ms',
  },
  {
    ...PLAIN,
    id: 'idle',
    title: 'Hello, 32 connections, beside 5,000 idle ones',
    load: 'idle',
    crowd: 5000,
    keepAlive: 75,
    more: [
      { key: 'perConnectionKib', title: 'KiB per idle connection', digits: 1, isLess: true },
      { key: 'stillOpen', title: 'still open at the end', digits: 0, isLess: false },
      { key: 'frontRestMib', title: 'front at rest, RSS MiB', digits: 0, isLess: true },
    ],
  },
  {
    ...PLAIN,
    id: 'slow',
    title: 'Hello, 32 connections, beside 1,000 slow clients',
    load: 'slow',
    crowd: 1000,
    more: [{ key: 'kept', title: 'of the rate without them', digits: 2, isLess: false }],
  },
];
