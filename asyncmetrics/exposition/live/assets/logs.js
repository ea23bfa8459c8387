// Log records by level, and everything that counts failures.

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const LEVEL_TONES = { warning: "warn", error: "bad", critical: "bad" };

class Logs {
  constructor() {
    this.section = new Section("logs", "Logs", "records a second, of the last 10 seconds");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("logger", "Logger", ({ name }) => name, { names: "code", more: ({ name }) => name }),
      ...LEVELS.map((level) => ({
        id: level, title: level, names: "number",
        value: ({ rates }) => rates[level] ?? NaN,
        text: ({ rates }) => (level in rates ? formatRate(rates[level]) : NOTHING),
        tone: ({ rates }) => (rates[level] > 0 ? LEVEL_TONES[level] || "" : ""),
        more: ({ totals }) => (level in totals ? `${formatNumber(totals[level])} since the start of the server` : ""),
      })),
      trendColumn("Warnings and worse", ({ key }) => this.tracks.points(key), () => "Warnings and worse over time", () => ({ colour: "--bad" })),
    ], { sort: "error", caption: "Log records by logger and level" });
  }

  update(view) {
    const { history } = view;
    const groups = groupBy(view.samples("log_records_total", "level"), ({ logger }) => [logger ?? ""]);
    const points = new Map();
    const rows = [...groups.values()].map(({ key, names: [name], items }) => {
      const rates = Object.create(null);
      const totals = Object.create(null);
      let bad = 0;
      for (const sample of items) {
        const level = sample.labels.level.toLowerCase();
        const increase = history.increase(sample.key);
        rates[level] = (rates[level] || 0) + history.rate(increase);
        totals[level] = (totals[level] || 0) + sample.value;
        if (Object.hasOwn(LEVEL_TONES, level)) bad += history.lastIncrease(sample.key);
      }
      points.set(key, history.lastSeconds ? bad / history.lastSeconds : NaN);
      return { key, name: name || "root", rates, totals };
    });
    this.tracks.push(points);
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }
}

const FAILURES = /(?:^|_)(?:exceptions|errors|failures|failed|warnings|timeouts|dropped_\w+)_total$/;

/** Each counter of failures that is not 0, whoever counts it. */
class Failures {
  constructor() {
    this.section = new Section("failures", "Failures", "every counter of exceptions, errors and timeouts that is not 0");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("name", "Metric", ({ name }) => name, { names: "code", more: ({ help }) => help }),
      textColumn("labels", "Labels", ({ labels }) => labels, { names: "code soft", more: ({ labels }) => labels }),
      numberColumn("recent", "last 10 s", ({ recent }) => recent, formatNumber, { tone: ({ recent }) => (recent > 0 ? "bad" : "") }),
      numberColumn("total", "in all", ({ total }) => total, formatNumber, { hint: "since the start of the server" }),
      trendColumn("Over time", ({ key }) => this.tracks.points(key), ({ recent }) => `last 10 s: ${formatNumber(recent)}`, () => ({ colour: "--bad" })),
    ], { sort: "recent", caption: "Failures" });
  }

  update(view) {
    const points = new Map();
    const rows = [];
    for (const family of view.families.values()) {
      if (!FAILURES.test(family.name)) continue;
      for (const { name, labels, key, value } of family.samples) {
        if (!(value > 0) || !isCumulative(family, name)) continue;
        const recent = view.history.isReady ? Math.round(view.history.increase(key)) : NaN;
        rows.push({ key, name, help: family.help, labels: formatLabels(labels), recent, total: value });
        points.set(key, view.history.lastIncrease(key));
      }
    }
    this.tracks.push(points);
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }
}
