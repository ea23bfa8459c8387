// The tiles at the top: the figures of the whole server, each with its last minutes.

const SLOW_LAG_SECONDS = 0.1;

/** Return the number of processes behind the figures: each worker exposes its own processor time. */
function countProcesses(view) {
  return Math.max(1, view.samples("process_cpu_seconds_total").length);
}

function readRequests(view) {
  const { families, scale } = view.findRequests();
  const children = families.flatMap((family) => view.children(family));
  if (!families.length) return null;
  const rate = view.history.rate(view.increaseOf(children));
  return { children, scale, rate, failures: readFailures(view, families, children) };
}

/** Return the share of requests with a 5xx, NaN if no metric has a status. */
function readFailures(view, families, children) {
  const totals = readTotals(view, families);
  const sum = (field) => [...totals.values()].reduce((all, own) => all + own[field], 0);
  const count = totals ? sum("all") : view.increaseOf(children);
  const failed = totals ? sum("failed") : view.increaseOf(children.filter(({ labels }) => isFailure(readLabel(labels, "status"))));
  if (totals ? totals.size === 0 : !hasStatus(children)) return NaN;
  return count > 0 ? failed / count : view.history.isReady ? 0 : NaN;
}

/** Return the counts of a counter of requests by the methods and routes of the durations; null if these have a status. */
function readTotals(view, families) {
  if (!families.length || families.some((family) => hasLabel(family, "status"))) return null;
  const totals = new Map();
  const hasMethod = families.some((family) => hasLabel(family, "method"));
  for (const family of view.families.values()) {
    if (!REQUEST_TOTALS.test(family.name) || !hasLabel(family, "status")) continue;
    for (const { labels, key } of family.samples) {
      const name = JSON.stringify([hasMethod ? readLabel(labels, "method") : "", readLabel(labels, "route")]);
      const own = totals.get(name) || { all: 0, failed: 0, lastFailed: 0 };
      own.all += view.history.increase(key);
      if (isFailure(readLabel(labels, "status"))) {
        own.failed += view.history.increase(key);
        own.lastFailed += view.history.lastIncrease(key);
      }
      totals.set(name, own);
    }
  }
  return totals;
}

/** Return `number`, or 0 if there is none because nothing of the metric `base` is there at the moment. */
function orNone(view, base, number) {
  return Number.isNaN(number) && view.find(base).length ? 0 : number;
}

function isFailure(status) {
  return /^5/.test(status);
}

function hasStatus(children) {
  return children.some(({ labels }) => readLabel(labels, "status") !== "");
}

function readGc(view) {
  const pauses = [...view.childrenOf("python_gc_duration_seconds"), ...view.childrenOf("go_gc_duration_seconds")];
  const sums = pauses.filter(({ sum }) => sum);
  if (sums.length) return { number: view.history.rate(sums.reduce((all, { sum }) => all + view.history.increase(sum.key), 0)), format: formatShare };
  const full = view.samples("python_gc_collections_total").filter(({ labels }) => labels.generation === "2");
  const increase = full.reduce((all, { key }) => all + view.history.increase(key), 0);
  return { number: full.length ? view.history.rate(increase) : NaN, format: (rate) => `${formatNumber(rate * 60)} full/min` };
}

// What each tile shows: `read` returns a number or `{number, …}`; a tile whose number was never there is hidden.
const TILES = [
  { id: "requests", title: "Requests / s", read: (view, requests) => requests?.rate ?? NaN, format: formatRate },
  {
    id: "failures", title: "5xx", format: formatShare, colour: "--bad",
    read: (view, requests) => requests?.failures ?? NaN,
    tone: (share) => (share >= 0.01 ? "bad" : share > 0 ? "warn" : ""),
  },
  { id: "latency", title: "Latency", isLatency: true },
  {
    id: "active", title: "In progress", format: formatNumber,
    read: (view) => orNone(view, "http_server_active_requests", view.sum("http_server_active_requests")),
  },
  {
    id: "oldest", title: "Oldest in progress", format: formatSeconds,
    read: (view) => orNone(view, "http_server_oldest_active_request_seconds", view.most("http_server_oldest_active_request_seconds")),
    tone: (age) => (age >= 30 ? "bad" : age >= 5 ? "warn" : ""),
  },
  {
    id: "lag", title: "Loop lag p99", format: formatSeconds,
    read: (view) => {
      const children = view.childrenOf("event_loop_lag_seconds");
      return children.length ? readQuantiles(view, children, "tile lag").values[2].value : NaN;
    },
    tone: (lag) => (lag >= SLOW_LAG_SECONDS ? "warn" : ""),
  },
  {
    id: "busy", title: "Loop busy", format: formatShare,
    read: (view) => view.sumRate("event_loop_busy_seconds_total") / countProcesses(view),
    tone: (share) => (share >= 0.9 ? "bad" : share >= 0.7 ? "warn" : ""),
  },
  { id: "cpu", title: "CPU", read: (view) => view.sumRate("process_cpu_seconds_total"), format: formatShare },
  { id: "memory", title: "Memory", read: (view) => view.sum("process_resident_memory_bytes"), format: formatBytes },
  { id: "gc", title: "GC", read: readGc },
  { id: "files", title: "Open files", read: (view) => view.sum("process_open_fds"), format: formatNumber },
  { id: "goroutines", title: "Goroutines", read: (view) => view.sum("go_goroutines"), format: formatNumber },
];

class Tiles {
  constructor() {
    this.root = element("section", { class: "tiles", "aria-label": "Overview" });
    this.tracks = new Tracks(NaN);
    this.tiles = new Map();
    document.querySelector("main").append(this.root);
  }

  update(view) {
    const requests = readRequests(view);
    const points = new Map();
    for (const spec of TILES) {
      const found = spec.isLatency ? this.readLatency(view, requests) : spec.read(view, requests);
      const { number, format, tone } = typeof found === "number" ? { number: found } : found;
      points.set(spec.id, number);
      if (Number.isNaN(number) && !this.tiles.has(spec.id) && !isExpected(spec, view, requests)) continue;
      const tile = this.tiles.get(spec.id) || this.makeTile(spec);
      if (spec.isLatency) this.fillLatency(tile, found.quantiles);
      else setText(tile.value, (format || spec.format)(number));
      const shown = tone ?? spec.tone?.(number) ?? "";
      setClass(tile.root, `tile${spec.isLatency ? " wide" : ""}${shown ? ` tone-${shown}` : ""}`);
    }
    this.tracks.push(points);
    this.root.hidden = this.tiles.size === 0;
  }

  draw() {
    for (const [id, { canvas, spec }] of this.tiles) {
      drawSparkline(canvas, this.tracks.points(id), { colour: spec.colour });
    }
  }

  readLatency(view, requests) {
    if (!requests?.children.length) return NaN;
    const quantiles = readQuantiles(view, requests.children, "tile latency", requests.scale);
    return { number: quantiles.age ? NaN : quantiles.values[1].value, quantiles };
  }

  fillLatency({ value }, quantiles) {
    if (!quantiles) return;
    const shown = quantiles.values.map((quantile) => formatQuantile(quantile));
    if (!value.children.length) {
      const name = (q) => `p${q * 100}${q === QUANTILES.at(-1) ? " latency" : ""}`;
      value.append(...QUANTILES.map((q) => element("span", {}, element("small", { text: name(q) }), element("b"))));
    }
    [...value.children].forEach((part, index) => setText(part.lastChild, shown[index]));
    setClass(value, `value parts${quantiles.age ? " tone-old" : ""}`);
    setTitle(value, explainAge(quantiles));
  }

  makeTile(spec) {
    const value = element("div", { class: "value" });
    const canvas = element("canvas", { class: "spark", "aria-hidden": "true" });
    const root = element("div", { class: "tile" }, element("div", { class: spec.isLatency ? "unseen" : "name", text: spec.title }), value, canvas);
    const tile = { root, value, canvas, spec };
    this.tiles.set(spec.id, tile);
    const order = TILES.map(({ id }) => id).filter((id) => this.tiles.has(id));
    this.root.insertBefore(root, this.root.children[order.indexOf(spec.id)] || null);
    return tile;
  }
}

/** Whether a tile will have a number at the next text: a rate needs two. */
function isExpected(spec, view, requests) {
  return spec.id === "latency" ? Boolean(requests?.children.length) : spec.id === "requests" && requests !== null;
}
