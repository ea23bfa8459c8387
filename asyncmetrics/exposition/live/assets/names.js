// Find metrics by their names and labels: our own, OpenTelemetry's, and those of other libraries.

const LABELS = {
  route: ["route", "http_route", "handler", "path_template", "path", "http_target", "uri", "endpoint", "view", "resource"],
  method: ["method", "http_request_method", "http_method"],
  status: ["status", "http_response_status_code", "status_code", "http_status_code", "code", "response_code"],
  server: ["server", "server_address", "net_peer_name", "host"],
  system: ["system", "db_system_name", "db_system"],
  operation: ["operation", "db_operation_name", "db_operation"],
  pool: ["pool", "db_client_connection_pool_name", "pool_name"],
  state: ["state", "db_client_connection_state", "http_connection_state"],
  type: ["type", "error_type", "exception_type", "exception"],
};

/** Return the value of the label that has one of the names of `what`, or `otherwise`. */
function readLabel(labels, what, otherwise = "") {
  for (const name of LABELS[what] || [what]) if (name in labels) return labels[name];
  return otherwise;
}

function hasLabel(family, what) {
  const names = LABELS[what] || [what];
  return family.samples.some(({ labels }) => names.some((name) => name in labels));
}

// The histograms and summaries of HTTP requests; the first pattern that any family matches is the one that is used.
const REQUEST_DURATIONS = [
  { pattern: /(?:^|_)http_server_request_duration_seconds$/, scale: 1 },
  { pattern: /(?:^|_)http_server_duration_seconds$/, scale: 1 },
  { pattern: /(?:^|_)http_server_duration_milliseconds$/, scale: 0.001 },
  { pattern: /(?:^|_)http_server_requests_seconds$/, scale: 1 },
  { pattern: /(?:^|_)(?:http|starlette|fastapi|flask_http|asgi)_requests?_duration_seconds$/, scale: 1 },
  { pattern: /^starlette_requests_processing_time_seconds$/, scale: 1 },
  { pattern: /^django_http_requests_latency_seconds_by_view_method$/, scale: 1 },
];
const REQUEST_TOTALS = /(?:^|_)(?:http_|http_server_|starlette_|fastapi_|flask_http_)?requests?_total$/;

// Shown in a section of their own, or of the library and the interpreter.
const COMMON = new RegExp(
  "^(?:python_|go_|asyncmetrics_|promhttp_|net_conntrack_dialer_)" +
    "|^process_(?:cpu_|open_|max_|start_time_|threads$|io_|network_|(?:resident|virtual|private)_memory_|heap_)" +
    "|(?:^|_)(?:http_server_|http_client_|db_client_|websocket_server_|event_loop_)" +
    "|^target_info$|(?:^|_)log_(?:records|exceptions)_total$" +
    "|(?:^|_)http_requests?_(?:total|duration_seconds|duration_highr_seconds)$",
);
// Names of an application have these words too, as `shop_queue_depth`: the whole name and its label decide.
const NAMED = {
  queue: "queue_(?:length|max|unfinished_items|(?:put_wait|get_wait|item)_seconds)",
  pool: "thread_pool_(?:threads|max|queue_length|wait_seconds|run_seconds)",
  periodic:
    "periodic_(?:active_runs|(?:interval|run_duration|(?:last_success|start)_timestamp)_seconds" +
    "|(?:overruns|skipped_runs|run_exceptions)_total)",
  heartbeat: "heartbeat_(?:interval|last_timestamp)_seconds",
  batch_job: "batch_job_last_(?:records|succeeded|(?:duration|(?:run|success)_timestamp)_seconds)",
  check: "health_check_(?:up|failures_total|(?:duration|interval|last_success_timestamp)_seconds)",
};
const NAMED_PATTERNS = Object.entries(NAMED).map(([label, name]) => [label, new RegExp(`(?:^|_)${name}$`)]);

/** What one text has, and what has increased since earlier ones. */
class View {
  constructor(families, history, now) {
    this.families = families;
    this.history = history;
    this.now = now;
    this.childrenByFamily = new Map();
    this.indexes = new Map();
  }

  /** Return the samples, or the label sets of a histogram, by the value of a label: a Map that is made once. */
  index(base, label, isHistogram = false) {
    const key = `${isHistogram} ${label} ${base}`;
    let index = this.indexes.get(key);
    if (!index) {
      index = new Map();
      for (const item of isHistogram ? this.childrenOf(base) : this.samples(base)) {
        const name = readLabel(item.labels, label);
        if (index.has(name)) index.get(name).push(item);
        else index.set(name, [item]);
      }
      this.indexes.set(key, index);
    }
    return index;
  }

  /** Return the families called `base`, also behind the prefix of a namespace; `label` is one that they must have. */
  find(base, label) {
    const found = [];
    for (const family of this.families.values()) {
      const isNamed = family.name === base || family.name.endsWith(`_${base}`);
      if (isNamed && (!label || hasLabel(family, label))) found.push(family);
    }
    return found;
  }

  findRequests() {
    for (const { pattern, scale } of REQUEST_DURATIONS) {
      const families = [...this.families.values()].filter(
        ({ name, type }) => (type === "histogram" || type === "summary") && pattern.test(name),
      );
      if (families.length) return { families, scale };
    }
    return { families: [], scale: 1 };
  }

  /** Return the samples of all families of `find`. */
  samples(base, label) {
    return this.find(base, label).flatMap((family) => family.samples.filter(({ name }) => !name.endsWith("_created")));
  }

  /** Return the sum of all values, or NaN if there is none. */
  sum(base) {
    const samples = this.samples(base);
    return samples.length ? samples.reduce((sum, { value }) => sum + value, 0) : NaN;
  }

  most(base) {
    const samples = this.samples(base);
    return samples.length ? samples.reduce((most, { value }) => Math.max(most, value), -Infinity) : NaN;
  }

  /** Return the rate of the sum, or NaN if there is no such counter or only one text. */
  sumRate(base) {
    const samples = this.samples(base);
    return samples.length ? this.history.rate(samples.reduce((sum, { key }) => sum + this.history.increase(key), 0)) : NaN;
  }

  /** Return the label sets of a histogram or summary: `{labels, buckets: [{bound, key}], count, sum}` of samples. */
  children(family) {
    let children = this.childrenByFamily.get(family);
    if (!children) this.childrenByFamily.set(family, (children = groupChildren(family)));
    return children;
  }

  childrenOf(base, label) {
    return this.find(base, label).flatMap((family) => this.children(family));
  }

  /** Return the increases in the window of all buckets of the children. */
  buckets(children, read = (key) => this.history.increase(key)) {
    const buckets = new Buckets();
    for (const child of children) for (const { bound, key } of child.buckets) buckets.add(bound, read(key));
    return buckets;
  }

  increaseOf(children) {
    return children.reduce((sum, { count }) => sum + (count ? this.history.increase(count.key) : 0), 0);
  }
}

function groupChildren(family) {
  const children = new Map();
  for (const sample of family.samples) {
    const series = sample.series;
    series.childKey ??= makeKey(series.labels, family.type === "summary" ? "quantile" : "le");
    let child = children.get(series.childKey);
    if (!child) {
      child = { key: series.childKey, labels: withoutBound(series.labels), buckets: [], quantiles: [] };
      children.set(series.childKey, child);
    }
    const suffix = sample.name.slice(family.base.length);
    if (suffix === "_bucket") child.buckets.push({ bound: parseNumber(series.labels.le || ""), key: sample.key });
    else if (suffix === "_count" || suffix === "_gcount") child.count = sample;
    else if (suffix === "_sum" || suffix === "_gsum") child.sum = sample;
    else if (suffix === "" && "quantile" in series.labels) child.quantiles.push(sample);
  }
  for (const child of children.values()) child.buckets = child.buckets.filter(({ bound }) => bound !== null && !Number.isNaN(bound));
  return [...children.values()];
}

function withoutBound(labels) {
  const rest = Object.create(null);
  for (const name in labels) if (name !== "le" && name !== "quantile") rest[name] = labels[name];
  return rest;
}

function makeKey(labels, without) {
  const pairs = [];
  for (const name in labels) if (name !== without) pairs.push([name, labels[name]]);
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function formatLabels(labels) {
  return Object.keys(labels).map((name) => `${name}=${JSON.stringify(labels[name])}`).join(", ");
}

/** Whether a section may show the metric. */
function isShownApart(name) {
  return isCommon(name) || REQUEST_TOTALS.test(name) || NAMED_PATTERNS.some(([, pattern]) => pattern.test(name));
}

function isCommon(name) {
  return COMMON.test(name) || REQUEST_DURATIONS.some(({ pattern }) => pattern.test(name));
}

/** Whether a metric is one of the application: no section shows it, and neither library nor interpreter made it. */
function isOwn(family) {
  const isNamed = ([label, pattern]) => pattern.test(family.name) && (!family.samples?.length || hasLabel(family, label));
  return !isCommon(family.name) && !NAMED_PATTERNS.some(isNamed);
}
