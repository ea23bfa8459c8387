// One row for each worker of the server, if it has several: which one is slow?

const FEWEST_REQUESTS = 3; // of a route, in a worker and in the others, that a mean is taken of
const FEWEST_COMPARED = 10; // of a worker
const SLOW_TIMES = 2;

class Workers {
  constructor() {
    this.section = new Section("workers", "Workers");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("worker", "Worker", ({ name }) => name, { names: "code" }),
      numberColumn("rate", "req/s", ({ rate }) => rate, formatRate),
      numberColumn("failures", "5xx", ({ failures }) => failures, formatShare, { tone: ({ failures }) => (failures > 0 ? "bad" : "") }),
      ...quantileColumns(),
      numberColumn("cpu", "CPU", ({ cpu }) => cpu, formatShare, { tone: ({ cpu }) => (cpu >= 0.9 ? "bad" : "") }),
      numberColumn("memory", "memory", ({ memory }) => memory, formatBytes),
      numberColumn("files", "open files", ({ files }) => files),
      numberColumn("age", "running for", ({ age }) => age, formatSeconds),
      trendColumn("CPU over time", ({ key }) => this.tracks.points(key), ({ cpu }) => `CPU: ${formatShare(cpu)}`),
    ], { sort: "worker", caption: "Workers", isDescending: false });
    this.note = element("p", { class: "note" });
    this.section.body.append(this.note);
  }

  update(view) {
    const rows = this.readRows(view);
    this.tracks.push(new Map(rows.map(({ key, cpu }) => [key, cpu])));
    this.section.show(rows.length > 1, rows.length);
    setText(this.note, rows.some(({ hasRequests }) => hasRequests)
      ? this.describeSlowest(rows) : "With worker_label=True the requests of each worker are here as well, and which one is slow.");
    this.table.update(rows);
  }

  readRows(view) {
    const { families, scale } = view.findRequests();
    const children = families.flatMap((family) => view.children(family));
    const samples = ["process_cpu_seconds_total", "process_resident_memory_bytes"].flatMap((base) => view.samples(base, "worker"));
    const names = new Set([...samples, ...children].map(({ labels }) => labels.worker).filter((name) => name !== undefined));
    const byWorker = new Map([...groupBy(children, ({ worker }) => [worker]).values()].map((group) => [group.names[0], group]));
    return [...names].map((name) => {
      const requests = byWorker.get(name)?.items || [];
      const count = view.increaseOf(requests);
      const failed = view.increaseOf(requests.filter(({ labels }) => isFailure(readLabel(labels, "status"))));
      const gauge = (base) => {
        const found = view.index(base, "worker").get(name);
        return found ? sumValues(found) : NaN;
      };
      const cpus = view.index("process_cpu_seconds_total", "worker").get(name) || [];
      return {
        key: name, name, hasRequests: requests.length > 0, routes: sumByRoute(view, requests),
        rate: requests.length ? view.history.rate(count) : NaN,
        failures: count > 0 ? failed / count : NaN,
        quantiles: readQuantiles(view, requests, `worker ${name}`, scale),
        cpu: cpus.length ? view.history.rate(cpus.reduce((sum, { key }) => sum + view.history.increase(key), 0)) : NaN,
        memory: gauge("process_resident_memory_bytes"),
        files: gauge("process_open_fds"),
        age: view.now - gauge("process_start_time_seconds"),
      };
    });
  }

  /** Name the worker that is slowest for the same routes, if it takes at least twice as long as the others. */
  describeSlowest(rows) {
    const compared = compareWorkers(rows.map(({ routes }) => routes));
    const times = findLargest(compared);
    if (!(times >= SLOW_TIMES)) return "";
    const slowest = rows[compared.indexOf(times)];
    slowest.tone = "slow";
    return `Worker ${slowest.name} is slow: its requests take about ${formatNumber(Number(times.toPrecision(2)))} times as long as requests for the same routes in the other workers.`;
  }
}

/** Return the counts and seconds of requests in the window: a Map of `{count, sum}` by method and route. */
function sumByRoute(view, children) {
  const routes = new Map();
  for (const { labels, count, sum } of children) {
    if (!count || !sum) continue;
    const key = JSON.stringify([readLabel(labels, "method"), readLabel(labels, "route")]);
    const own = routes.get(key) || { count: 0, sum: 0 };
    own.count += view.history.increase(count.key);
    own.sum += view.history.increase(sum.key);
    routes.set(key, own);
  }
  return routes;
}

/**
 * Return for each worker how many times as long its requests take as those of the other workers, NaN for too few.
 *
 * Quantiles of whole workers cannot be compared: the worker that happens to get the slow routes is not slow. So the
 * means of each route are compared, and the geometric mean of their ratios is weighted by the requests: one route of
 * many seconds does not hide the others.
 */
function compareWorkers(workers) {
  const all = new Map();
  for (const [key, { count, sum }] of workers.flatMap((routes) => [...routes])) {
    const own = all.get(key) || { count: 0, sum: 0 };
    all.set(key, { count: own.count + count, sum: own.sum + sum });
  }
  return workers.map((routes) => {
    let compared = 0;
    let logarithms = 0;
    for (const [key, { count, sum }] of routes) {
      const others = { count: all.get(key).count - count, sum: all.get(key).sum - sum };
      if (Math.min(count, others.count) < FEWEST_REQUESTS || !(sum > 0) || !(others.sum > 0)) continue;
      compared += count;
      logarithms += count * Math.log(sum / count / (others.sum / others.count));
    }
    return compared >= FEWEST_COMPARED ? Math.exp(logarithms / compared) : NaN;
  });
}
