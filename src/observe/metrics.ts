/** The figures of a server for Prometheus. What the fronts counted comes as numbers; prom-client adds up and writes. */
import { AggregatorRegistry } from 'prom-client';
import type { FrontReport, HistogramReport, MountReport } from '../messages.ts';
import type { MountStatus, Status } from '../status.ts';

/** Content type of the text. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

/** As prom-client's own processes give each other their metrics. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly values: readonly Sample[];
  readonly aggregator: 'sum';
}

type Described = Pick<Metric, 'name' | 'help' | 'type'>;

/**
 * The text of GET /metrics. What concerns one application has the label `mount`, its prefix, also where there is only one:
 * so a second one changes no query. Requests that belong to none have it empty.
 */
export function renderMetrics(status: Status): Promise<string> {
  const reports = status.fronts.flatMap(({ report }) => (report === null ? [] : [report]));
  const parts = [
    server(status),
    ...status.mounts.map((mount) => application(mount, status.workers)),
    ...reports.flatMap((report) => [front(report), ...report.mounts.map(served)]),
  ];
  // prom-client types what it gives itself, and takes what has the same shape.
  const registry = AggregatorRegistry.aggregate(parts as unknown as object[]);
  return registry.metrics();
}

function server({ version, pid, state, uptime, workers, fronts }: Status): Metric[] {
  return [
    gauge('tunicorn_info', 'What runs: always 1.', [one(1, { version, pid, state })]),
    gauge('tunicorn_uptime_seconds', 'Time since the start.', [one(uptime)]),
    gauge(
      'tunicorn_worker_resident_memory_bytes',
      'Resident memory of each worker.',
      workers.flatMap(({ id, mount, rss }) => (rss === null ? [] : [one(rss, { worker: id, mount })])),
    ),
    gauge(
      'tunicorn_front_resident_memory_bytes',
      'Resident memory of each front.',
      fronts.flatMap(({ slot, rss }) => (rss === null ? [] : [one(rss, { front: slot + 1 })])),
    ),
  ];
}

/** What the arbiter knows of one application. */
function application(status: MountStatus, workers: Status['workers']): Metric[] {
  const { prefix: mount, generation, target, queue, totals } = status;
  const states = ['booting', 'ready', 'detached', 'leaving'] as const;
  const mine = workers.filter((worker) => worker.mount === mount);
  const count = (wanted: string) => mine.filter((worker) => worker.state === wanted).length;
  return [
    gauge('tunicorn_generation', 'Counts reloads, from 1.', [one(generation, { mount })]),
    gauge('tunicorn_workers_target', 'How many workers there should be.', [one(target, { mount })]),
    gauge(
      'tunicorn_workers',
      'Workers by state.',
      states.map((each) => one(count(each), { state: each, mount })),
    ),
    gauge('tunicorn_queue_requests', 'Requests that wait for a worker.', [one(queue.waiting, { mount })]),
    gauge('tunicorn_queue_oldest_seconds', 'How long the first of them has waited.', [
      one(queue.oldest, { mount }),
    ]),
    counter(
      'tunicorn_worker_restarts_total',
      'Workers that were replaced, by cause.',
      Object.entries(totals.restarts).map(([cause, times]) => one(times, { cause, mount })),
    ),
  ];
}

/** Summed over all fronts. */
function front({ connections, memory, spooled, statuses }: FrontReport): Metric[] {
  return [
    gauge('tunicorn_connections', 'Client connections.', [one(connections)]),
    gauge('tunicorn_held_bytes', 'Bytes of requests and responses in memory.', [one(memory)]),
    gauge('tunicorn_spooled_bytes', 'Bytes of requests and responses in spool files.', [one(spooled)]),
    requests('', statuses),
  ];
}

/** What a front counted of one application. */
function served({ prefix: mount, statuses, retried, queueWait, service }: MountReport): Metric[] {
  return [
    requests(mount, statuses),
    counter('tunicorn_retried_total', 'Requests whose worker died and that were given to another.', [
      one(retried, { mount }),
    ]),
    histogram(
      {
        name: 'tunicorn_queue_wait_seconds',
        help: 'From the arrival of a request to its start in a worker.',
      },
      { mount, report: queueWait },
    ),
    histogram(
      {
        name: 'tunicorn_service_seconds',
        help: 'From the start of a request in a worker to the end of its answer.',
      },
      { mount, report: service },
    ),
  ];
}

function requests(mount: string, statuses: MountReport['statuses']): Metric {
  return counter(
    'tunicorn_requests_total',
    'Requests answered, by status; 499 when the client left.',
    Object.entries(statuses).map(([status, times]) => one(times, { status, mount })),
  );
}

function one(value: number, labels: Sample['labels'] = {}): Sample {
  return { value, labels };
}

function gauge(name: string, help: string, values: readonly Sample[]): Metric {
  return metric({ name, help, type: 'gauge' }, values);
}

function counter(name: string, help: string, values: readonly Sample[]): Metric {
  return metric({ name, help, type: 'counter' }, values);
}

function histogram(
  { name, help }: Pick<Described, 'name' | 'help'>,
  { mount, report }: { readonly mount: string; readonly report: HistogramReport },
): Metric {
  const { bounds, counts, sum } = report;
  let below = 0;
  const buckets = counts.map((times, i): Sample => {
    below += times;
    return { value: below, labels: { le: bounds[i] ?? '+Inf', mount }, metricName: `${name}_bucket` };
  });
  const total = { value: below, labels: { mount }, metricName: `${name}_count` };
  const values = [...buckets, { value: sum, labels: { mount }, metricName: `${name}_sum` }, total];
  return metric({ name, help, type: 'histogram' }, values);
}

function metric(described: Described, values: readonly Sample[]): Metric {
  return { ...described, values, aggregator: 'sum' };
}
