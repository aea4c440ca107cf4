/** The figures of a server for Prometheus. What the fronts counted comes as numbers; prom-client adds up and writes. */
import { AggregatorRegistry } from 'prom-client';
import type { FrontReport, HistogramReport } from '../messages.ts';
import type { Status } from '../status.ts';

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

/** The text of GET /metrics. */
export function renderMetrics(status: Status): Promise<string> {
  const reports = status.fronts.flatMap(({ report }) => (report === null ? [] : [report]));
  const parts = [server(status), ...reports.map(front)];
  // prom-client types what it gives itself, and takes what has the same shape.
  const registry = AggregatorRegistry.aggregate(parts as unknown as object[]);
  return registry.metrics();
}

function server(status: Status): Metric[] {
  const { version, pid, state, uptime, generation, target, workers, fronts, queue, totals } = status;
  const states = ['booting', 'ready', 'detached', 'leaving'] as const;
  const count = (wanted: string) => workers.filter((worker) => worker.state === wanted).length;
  return [
    gauge('tunicorn_info', 'What runs: always 1.', [one(1, { version, pid, state })]),
    gauge('tunicorn_uptime_seconds', 'Time since the start.', [one(uptime)]),
    gauge('tunicorn_generation', 'Counts reloads, from 1.', [one(generation)]),
    gauge('tunicorn_workers_target', 'How many workers there should be.', [one(target)]),
    gauge(
      'tunicorn_workers',
      'Workers by state.',
      states.map((each) => one(count(each), { state: each })),
    ),
    gauge(
      'tunicorn_worker_resident_memory_bytes',
      'Resident memory of each worker.',
      workers.flatMap(({ id, rss }) => (rss === null ? [] : [one(rss, { worker: id })])),
    ),
    gauge(
      'tunicorn_front_resident_memory_bytes',
      'Resident memory of each front.',
      fronts.flatMap(({ slot, rss }) => (rss === null ? [] : [one(rss, { front: slot + 1 })])),
    ),
    gauge('tunicorn_queue_requests', 'Requests that wait for a worker.', [one(queue.waiting)]),
    gauge('tunicorn_queue_oldest_seconds', 'How long the first of them has waited.', [one(queue.oldest)]),
    counter(
      'tunicorn_worker_restarts_total',
      'Workers that were replaced, by cause.',
      Object.entries(totals.restarts).map(([cause, times]) => one(times, { cause })),
    ),
  ];
}

/** Summed over all fronts. */
function front(report: FrontReport): Metric[] {
  return [
    gauge('tunicorn_connections', 'Client connections.', [one(report.connections)]),
    gauge('tunicorn_held_bytes', 'Bytes of requests and responses in memory.', [one(report.memory)]),
    gauge('tunicorn_spooled_bytes', 'Bytes of requests and responses in spool files.', [one(report.spooled)]),
    counter(
      'tunicorn_requests_total',
      'Requests answered, by status; 499 when the client left.',
      Object.entries(report.statuses).map(([status, times]) => one(times, { status })),
    ),
    counter('tunicorn_retried_total', 'Requests whose worker died and that were given to another.', [
      one(report.retried),
    ]),
    histogram(
      {
        name: 'tunicorn_queue_wait_seconds',
        help: 'From the arrival of a request to its start in a worker.',
      },
      report.queueWait,
    ),
    histogram(
      {
        name: 'tunicorn_service_seconds',
        help: 'From the start of a request in a worker to the end of its answer.',
      },
      report.service,
    ),
  ];
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
  { bounds, counts, sum }: HistogramReport,
): Metric {
  let below = 0;
  const buckets = counts.map((times, i): Sample => {
    below += times;
    return { value: below, labels: { le: bounds[i] ?? '+Inf' }, metricName: `${name}_bucket` };
  });
  const total = { value: below, labels: {}, metricName: `${name}_count` };
  const values = [...buckets, { value: sum, labels: {}, metricName: `${name}_sum` }, total];
  return metric({ name, help, type: 'histogram' }, values);
}

function metric(described: Described, values: readonly Sample[]): Metric {
  return { ...described, values, aggregator: 'sum' };
}
