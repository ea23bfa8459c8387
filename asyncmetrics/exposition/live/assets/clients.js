// What the server asks of others: calls of HTTP clients and databases, and the pools of connections.

const CALLS = [
  { kind: "HTTP", base: "http_client_request_duration_seconds", active: "http_client_active_requests",
    exceptions: "http_client_request_exceptions_total", labels: ["method", "server"] },
  { kind: "database", base: "db_client_operation_duration_seconds", active: "db_client_operation_active",
    exceptions: "db_client_operation_exceptions_total", labels: ["operation", "system"] },
];

class Clients {
  constructor() {
    this.section = new Section("clients", "Clients");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("call", "Call", ({ names }) => names[0] || NOTHING),
      textColumn("to", "To", ({ names }) => names[1] || NOTHING, { names: "code", more: ({ names }) => names[1] }),
      textColumn("kind", "Kind", ({ kind }) => kind),
      numberColumn("rate", "calls/s", ({ rate }) => rate, formatRate),
      numberColumn("failures", "failed", ({ failures }) => failures, formatShare, {
        hint: "calls with an exception or a 5xx, of the last 10 seconds",
        tone: ({ failures }) => (failures >= 0.01 ? "bad" : failures > 0 ? "warn" : ""),
      }),
      ...quantileColumns(),
      numberColumn("active", "active", ({ active }) => active),
      trendColumn("Calls over time", ({ key }) => this.tracks.points(key), ({ rate }) => `calls: ${formatRate(rate)} a second`),
    ], { sort: "rate", caption: "Clients" });
  }

  update(view) {
    const rows = CALLS.flatMap((call) => this.readCalls(view, call));
    this.tracks.push(new Map(rows.map(({ key, count }) => [key, view.history.lastSeconds ? count / view.history.lastSeconds : NaN])));
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }

  readCalls(view, { kind, base, active, exceptions, labels }) {
    const read = (own) => labels.map((name) => readLabel(own, name));
    const actives = groupBy(view.samples(active), read);
    const failed = groupBy(view.samples(exceptions), read);
    const groups = groupBy(view.childrenOf(base), read);
    return [...groups.values()].map(({ key, names, items }) => {
      const count = view.increaseOf(items);
      const raised = (failed.get(key)?.items || []).reduce((sum, sample) => sum + view.history.increase(sample.key), 0);
      const refused = view.increaseOf(items.filter((item) => isFailure(readLabel(item.labels, "status"))));
      const last = items.reduce((sum, item) => sum + (item.count ? view.history.lastIncrease(item.count.key) : 0), 0);
      return {
        key: `${kind} ${key}`, kind, names, count: last,
        rate: view.history.rate(count),
        failures: count > 0 ? Math.min(1, (raised + refused) / count) : view.history.isReady ? 0 : NaN,
        quantiles: readQuantiles(view, items, `${kind} ${key}`),
        active: actives.has(key) ? sumValues(actives.get(key).items) : NaN,
      };
    });
  }
}

const POOLS = [
  { kind: "HTTP connections", prefix: "http_client_connection" },
  { kind: "database connections", prefix: "db_client_connection" },
];

/** Pools of connections and threads, and queues: how full they are and who waits. */
class Pools {
  constructor() {
    this.section = new Section("pools", "Pools and queues");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("name", "Name", ({ name }) => name, { names: "code", more: ({ name }) => name }),
      textColumn("kind", "Kind", ({ kind }) => kind),
      numberColumn("used", "in use", ({ used }) => used, formatNumber, {
        tone: ({ used, max }) => (used >= max ? "bad" : used >= 0.8 * max ? "warn" : ""),
      }),
      numberColumn("max", "of", ({ max }) => max),
      numberColumn("waiting", "waiting", ({ waiting }) => waiting, formatNumber, { tone: ({ waiting }) => (waiting > 0 ? "warn" : "") }),
      numberColumn("wait", "wait p95", ({ wait }) => wait?.values[1].value ?? NaN, formatSeconds, {
        hint: "of the last 10 seconds", tone: ({ wait }) => (wait?.age ? "old" : ""), more: ({ wait }) => (wait ? explainAge(wait) : ""),
      }),
      numberColumn("timeouts", "timeouts", ({ timeouts }) => timeouts),
      trendColumn("In use over time", ({ key }) => this.tracks.points(key), ({ used }) => `in use: ${formatNumber(used)}`),
    ], { sort: "used", caption: "Pools and queues" });
  }

  update(view) {
    const rows = [...POOLS.flatMap((pool) => this.readConnections(view, pool)), ...this.readThreads(view), ...this.readQueues(view)];
    this.tracks.push(new Map(rows.map(({ key, used }) => [key, used])));
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }

  readConnections(view, { kind, prefix }) {
    const counts = groupBy(view.samples(`${prefix}_count`), (labels) => [readLabel(labels, "pool")]);
    const used = ({ labels }) => /^(?:used|busy|active)$/.test(readLabel(labels, "state"));
    return [...counts.values()].map(({ names: [name], items }) => ({
      key: `${prefix} ${name}`, kind, name,
      used: sumValues(items.filter(used)),
      max: this.readGauge(view, `${prefix}_max`, "pool", name),
      waiting: this.readGauge(view, `${prefix}_pending_requests`, "pool", name),
      wait: this.readWait(view, `${prefix}_wait_time_seconds`, "pool", name),
      timeouts: this.readGauge(view, `${prefix}_timeouts_total`, "pool", name),
    }));
  }

  readThreads(view) {
    const threads = groupBy(view.samples("thread_pool_threads", "pool"), (labels) => [readLabel(labels, "pool")]);
    return [...threads.values()].map(({ names: [name], items }) => ({
      key: `threads ${name}`, kind: "threads", name,
      used: sumValues(items.filter(({ labels }) => readLabel(labels, "state") === "busy")),
      max: this.readGauge(view, "thread_pool_max", "pool", name),
      waiting: this.readGauge(view, "thread_pool_queue_length", "pool", name),
      wait: this.readWait(view, "thread_pool_wait_seconds", "pool", name),
      timeouts: NaN,
    }));
  }

  readQueues(view) {
    const lengths = groupBy(view.samples("queue_length", "queue"), ({ queue }) => [queue ?? ""]);
    return [...lengths.values()].map(({ names: [name], items }) => ({
      key: `queue ${name}`, kind: "queue", name,
      used: sumValues(items),
      max: this.readGauge(view, "queue_max", "queue", name) || NaN, // 0 is a queue without a limit
      waiting: NaN,
      wait: this.readWait(view, "queue_item_seconds", "queue", name),
      timeouts: NaN,
    }));
  }

  readGauge(view, base, label, name) {
    const samples = view.index(base, label).get(name);
    return samples ? sumValues(samples) : NaN;
  }

  readWait(view, base, label, name) {
    const children = view.index(base, label, true).get(name);
    return children ? readQuantiles(view, children, `wait ${base} ${name}`) : null;
  }
}
