// The routes of an HTTP server, its streams and its WebSockets.

class Routes {
  constructor() {
    this.section = new Section("routes", "Routes", "latency over time: fast at the bottom; green up to 0.1 s, yellow 0.5 s, amber 2 s, orange above; red edge where there were 5xx");
    this.heat = new Tracks(null);
    this.table = new Table(this.section.body, [
      textColumn("method", "Method", ({ method }) => method || NOTHING, { names: "method" }),
      textColumn("route", "Route", ({ route }) => route || NOTHING, { names: "code", more: ({ route }) => route }),
      numberColumn("rate", "req/s", ({ rate }) => rate, formatRate, { hint: "requests a second, of the last 10 seconds" }),
      numberColumn("failures", "5xx", ({ failures }) => failures, formatShare, {
        hint: "share of server errors in the last 10 seconds",
        tone: ({ failures }) => (failures >= 0.01 ? "bad" : failures > 0 ? "warn" : ""),
        more: ({ refused }) => (refused > 0 ? `4xx: ${formatShare(refused)}` : ""),
      }),
      ...quantileColumns(),
      numberColumn("active", "active", ({ active }) => active, formatNumber, { hint: "requests in progress" }),
      numberColumn("oldest", "oldest", ({ oldest }) => oldest, formatSeconds, {
        hint: "age of the oldest request in progress",
        text: ({ oldest, isOldestShared }) => `${isOldestShared ? "≤ " : ""}${formatSeconds(oldest)}`,
        more: ({ isOldestShared }) => (isOldestShared ? "The metric has no method: this is the oldest request of all methods of the route." : ""),
        tone: ({ oldest }) => (oldest >= 30 ? "bad" : oldest >= 5 ? "warn" : ""),
      }),
      {
        id: "heat", title: "Latency over time", names: "heat",
        draw: (cell, row) => drawHeat(getCanvas(cell, "strip", describeHeat(row)), this.heat.points(row.key), this.bounds),
      },
    ], { sort: "rate", caption: "Routes" });
  }

  update(view) {
    const { families, scale } = view.findRequests();
    const children = families.flatMap((family) => view.children(family));
    const rows = new Map();
    const open = (labels) => {
      const [method, route] = [readLabel(labels, "method"), readLabel(labels, "route")];
      const key = JSON.stringify([method, route]);
      if (!rows.has(key)) rows.set(key, { key, method, route, children: [], active: NaN, oldest: NaN });
      return rows.get(key);
    };
    for (const child of children) open(child.labels).children.push(child);
    for (const { labels, value } of view.samples("http_server_active_requests")) {
      const row = open(labels);
      row.active = (row.active || 0) + value;
    }
    const byRoute = new Map();
    for (const row of rows.values()) byRoute.set(row.route, [...(byRoute.get(row.route) || []), row]);
    for (const { labels, value } of view.samples("http_server_oldest_active_request_seconds")) {
      const own = findRows(byRoute, labels);
      for (const row of own) {
        row.oldest = Math.max(row.oldest || 0, value);
        row.isOldestShared = own.length > 1;
      }
    }
    this.bounds = view.buckets(children).sorted().map(([bound]) => bound * scale);
    const totals = readTotals(view, families);
    const points = new Map();
    for (const row of rows.values()) {
      this.measure(view, row, scale, totals);
      const point = this.readPoint(view, row, scale, totals);
      if (point) points.set(row.key, point);
    }
    this.heat.push(points);
    this.section.show(rows.size > 0, rows.size);
    this.table.update([...rows.values()]);
  }

  measure(view, row, scale, totals) {
    const count = view.increaseOf(row.children);
    row.rate = view.history.rate(count);
    row.quantiles = readQuantiles(view, row.children, `route ${row.key}`, scale);
    const failed = (pattern) => view.increaseOf(row.children.filter(({ labels }) => pattern.test(readLabel(labels, "status"))));
    if (totals) {
      const own = totals.get(row.key);
      row.failures = !own || !view.history.isReady ? NaN : own.all > 0 ? own.failed / own.all : 0;
    } else {
      row.failures = count > 0 ? failed(/^5/) / count : view.history.isReady ? 0 : NaN;
      row.refused = count > 0 ? failed(/^4/) / count : 0;
    }
  }

  readPoint(view, row, scale, totals) {
    const read = (key) => view.history.lastIncrease(key);
    const parts = view.buckets(row.children, read).parts().filter(([, count]) => count > 0);
    const errors = totals ? totals.get(row.key)?.lastFailed || 0 : row.children.reduce(
      (sum, { labels, count }) => sum + (count && isFailure(readLabel(labels, "status")) ? read(count.key) : 0), 0);
    if (!parts.length && !errors) return null;
    return { parts: parts.map(([bound, count]) => [bound * scale, count]), errors };
  }
}

/**
 * Return the rows that the oldest request with these labels may belong to: those of the route, and of the method if the
 * labels have one. A row without a request in progress is none of them.
 */
function findRows(byRoute, labels) {
  const method = readLabel(labels, "method");
  const own = (byRoute.get(readLabel(labels, "route")) || []).filter((row) => !method || row.method === method);
  return own.filter((row) => row.active > 0 || Number.isNaN(row.active));
}

function describeHeat({ quantiles }) {
  return `Latency over time; now p95 ${formatQuantile(quantiles.values[1])}`;
}

/** Streams of events and WebSockets: they last, so their durations are no latency. */
class Streams {
  constructor() {
    this.section = new Section("streams", "Streams and WebSockets");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("kind", "Kind", ({ kind }) => kind),
      textColumn("route", "Route", ({ route }) => route || NOTHING, { names: "code", more: ({ route }) => route }),
      numberColumn("open", "open", ({ open }) => open),
      numberColumn("ended", "ended/s", ({ ended }) => ended, formatRate),
      numberColumn("messages", "messages/s", ({ messages }) => messages, formatRate),
      trendColumn("Open over time", ({ key }) => this.tracks.points(key), ({ open }) => `open: ${formatNumber(open)}`),
    ], { sort: "open", caption: "Streams and WebSockets" });
  }

  update(view) {
    const rows = new Map();
    const add = (kind, labels, field, number) => {
      const route = readLabel(labels, "route");
      const key = JSON.stringify([kind, route]);
      if (!rows.has(key)) rows.set(key, { key, kind, route, open: 0, ended: NaN, messages: NaN });
      const row = rows.get(key);
      row[field] = (row[field] || 0) + number;
    };
    const ended = (kind, name) => {
      for (const { labels, count } of view.childrenOf(name)) {
        if (count) add(kind, labels, "ended", view.history.rate(view.history.increase(count.key)));
      }
    };
    for (const { labels, value } of view.samples("http_server_active_streams")) add("stream", labels, "open", value);
    for (const { labels, value } of view.samples("websocket_server_active_connections")) add("WebSocket", labels, "open", value);
    ended("stream", "http_server_stream_duration_seconds");
    ended("WebSocket", "websocket_server_connection_duration_seconds");
    for (const { labels, key } of view.samples("websocket_server_messages_total")) {
      add("WebSocket", labels, "messages", view.history.rate(view.history.increase(key)));
    }
    this.tracks.push(new Map([...rows.values()].map(({ key, open }) => [key, open])));
    this.section.show(rows.size > 0, rows.size);
    this.table.update([...rows.values()]);
  }
}
