// Every metric by its type, with a filter: counters as rates, gauges as values, histograms as quantiles.

const MOST_SERIES_ROWS = 50; // of one metric that is opened

/** Return how a metric's numbers are written: by the unit at the end of its name. */
function chooseFormat(base, now) {
  // From 2001 on, a number of seconds is a point in time: a duration of thirty years is none.
  if (/_seconds$/.test(base)) return (value) => (value > 1e9 && value < 1e10 ? formatAgo(now - value) : formatSeconds(value));
  if (/_milliseconds$/.test(base)) return (value) => formatSeconds(value / 1000);
  if (/_bytes$/.test(base)) return formatBytes;
  if (/_ratio$/.test(base)) return formatShare;
  return formatNumber;
}

function formatAgo(seconds) {
  return seconds >= 0 ? `${formatSeconds(seconds)} ago` : `in ${formatSeconds(-seconds)}`;
}

class OwnMetrics {
  constructor(selection) {
    this.selection = selection;
    this.section = new Section("metrics", "Your metrics");
    this.opened = new Set();
    this.tracks = new Tracks(NaN);
    this.makeTools();
    this.table = new Table(this.section.body, [
      {
        id: "name", title: "Metric", names: "metric", value: ({ family }) => family.name,
        draw: (cell, row) => this.drawName(cell, row),
      },
      { id: "type", title: "Type", names: "soft", value: ({ family }) => family.type, text: (row) => (row.isSeries ? "" : row.family.type) },
      numberColumn("series", "series", ({ family }) => family.series, formatNumber, { names: "number series" }),
      {
        id: "now", title: "now", names: "number wide", hint: "rates and quantiles of the last 10 seconds",
        value: (row) => (row.parent || row).number, text: ({ text }) => text,
        tone: ({ isOld }) => (isOld ? "old" : ""), more: ({ more, text }) => more || text,
      },
      trendColumn("Over time", (row) => this.tracks.points(row.key), ({ family, text }) => `${family.name}: ${text}`, ({ isGauge }) => ({ colour: isGauge ? "--good" : "--accent" })),
    ], { sort: "name", caption: "Metrics", isDescending: false });
    this.note = element("p", { class: "note" });
    this.section.body.append(this.note);
    selection.wanted = (name) => (this.filter.value.trim() !== "" && this.isMatching(name, "")) || this.opened.has(name);
  }

  makeTools() {
    this.filter = element("input", { type: "search", placeholder: "filter, e.g. shop_", "aria-label": "Filter metrics", autocomplete: "off", spellcheck: "false" });
    this.all = element("input", { type: "checkbox", id: "all-metrics" });
    const label = element("label", { for: "all-metrics", text: "all metrics" });
    this.filter.addEventListener("input", () => this.repeat());
    this.all.addEventListener("change", () => this.repeat());
    this.section.tools.append(this.filter, element("span", { class: "check" }, this.all, label));
  }

  /** Show the last text again, after a change of what is wanted. */
  repeat() {
    if (!this.view) return;
    this.table.limit = PAGE_ROWS;
    this.fill();
  }

  isMatching(name, help) {
    const words = this.filter.value.toLowerCase().split(/\s+/);
    const text = `${name} ${help}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  update(view) {
    this.view = view;
    this.points = new Map();
    this.fill();
    this.tracks.push(this.points);
  }

  fill() {
    const { view } = this;
    const families = this.listFamilies();
    const own = families.filter(isOwn);
    const isForeign = own.length === 0 || !view.find("http_server_request_duration_seconds").length;
    const isAll = this.all.checked || isForeign;
    this.all.parentElement.hidden = isForeign;
    setText(this.section.heading, isAll ? "All metrics" : "Your metrics");
    const chosen = (isAll ? families : own).filter(({ name, help }) => this.isMatching(name, help));
    const rows = chosen.flatMap((family) => this.makeRows(family));
    this.section.show(families.length > 0, chosen.length);
    this.table.update(rows);
    const unread = chosen.filter(({ isUnread }) => isUnread).length;
    setText(this.note, unread ? describeUnread(unread)
      : families.length && !chosen.length ? this.describeNone(families)
      : families.length && !own.length ? "There are no metrics of your own yet: these are those of libraries and of the process." : "");
  }

  describeNone(families) {
    const others = families.filter(({ name, help }) => this.isMatching(name, help)).length;
    if (!others) return "No metric has these words in its name or its help.";
    return `None of your metrics has these words in its name or its help. With "all metrics" there ${others === 1 ? "is" : "are"} ${others}.`;
  }

  /** Return what there is, also of families that were not asked for this time. */
  listFamilies() {
    const read = [...this.view.families.values()].map((family) => ({ ...family, family, series: family.samples.length }));
    const catalogue = this.selection.catalogue;
    if (!catalogue) return read;
    const names = new Set(read.map(({ name }) => name));
    const unread = [...catalogue.values()].filter(({ name }) => !names.has(name));
    return [...read, ...unread.map((entry) => ({ ...entry, base: entry.name, isUnread: true }))];
  }

  makeRows(family) {
    const row = { key: family.name, family, ...this.describe(family) };
    this.points?.set(row.key, row.number);
    if (!this.opened.has(family.name) || family.isUnread) return [row];
    const series = this.listSeries(family);
    const shown = series.slice(0, MOST_SERIES_ROWS);
    for (const one of shown) one.parent = row;
    for (const one of shown) this.points?.set(one.key, one.number);
    return [row, ...shown];
  }

  /** Return the text and the number of a whole family. */
  describe(family) {
    if (family.isUnread) return { number: NaN, text: "not read" };
    if (family.series === 0) return { number: NaN, text: "no series yet", isOld: true };
    const { view } = this;
    if (family.type === "histogram" || family.type === "summary") return this.describeChildren(family, view.children(family.family), family.name);
    const samples = family.samples.filter(({ name }) => !name.endsWith("_created") || name === family.name);
    if (samples.length === 0) return { number: NaN, text: NOTHING };
    if (isCumulative(family, samples[0].name)) return this.describeCounter(family, samples);
    const values = samples.map(({ value }) => value);
    const format = chooseFormat(family.base, view.now);
    const numbers = values.filter((value) => !Number.isNaN(value));
    const [low, high] = numbers.length ? [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))] : [NaN, NaN];
    if (family.type === "info" || /_info$/.test(family.name)) return { number: NaN, text: values.length === 1 ? formatLabels(samples[0].labels) : `${values.length} sets of labels` };
    const [lowest, highest] = [format(low), format(high)];
    return { number: high, text: lowest === highest ? highest : `${lowest} … ${highest}`, isGauge: true };
  }

  describeCounter(family, samples) {
    const { history } = this.view;
    const format = chooseFormat(family.name.replace(/_total$/, ""), this.view.now);
    const total = samples.reduce((sum, { value }) => sum + value, 0);
    const rate = history.rate(samples.reduce((sum, { key }) => sum + history.increase(key), 0));
    const text = format === formatNumber ? formatPerSecond(rate) : Number.isNaN(rate) ? NOTHING : `${format(rate)}/s`;
    return { number: rate, text, more: `${format(total)} since the start of the server` };
  }

  describeChildren(family, children, key) {
    const { history } = this.view;
    const format = chooseFormat(family.base, this.view.now);
    const rate = history.rate(this.view.increaseOf(children));
    const quantiles = readQuantiles(this.view, children, `metric ${key}`);
    const known = QUANTILES.map((q, index) => [q, quantiles.values[index]]).filter(([, { value }]) => !Number.isNaN(value));
    const figures = known.map(([q, quantile]) => `p${q * 100} ${formatQuantile(quantile, format)}`);
    if (!known.length) figures.push(...this.describeMean(children, format));
    return { number: rate, text: [formatPerSecond(rate), ...figures].join(" · "), isOld: known.length > 0 && quantiles.age > 0, more: explainAge(quantiles) };
  }

  describeMean(children, format) {
    const sum = (read) => children.reduce((all, { count, sum: total }) => all + (count && total ? read(count, total) : 0), 0);
    const counted = sum((count) => count.value);
    return counted > 0 ? [`mean ${format(sum((_, total) => total.value) / counted)}`] : [];
  }

  /** Return a row for each label set of a family, those with the largest numbers first. */
  listSeries(family) {
    const { view } = this;
    const isMany = family.type === "histogram" || family.type === "summary";
    const items = isMany
      ? view.children(family.family).map((child) => ({ labels: child.labels, ...this.describeChildren(family, [child], `${family.name} ${child.key}`) }))
      : family.samples.map((sample) => ({ labels: sample.labels, ...this.describe({ ...family, samples: [sample] }) }));
    return items
      .map((item) => ({ ...item, key: `${family.name}\u0000${formatLabels(item.labels)}`, family, isSeries: true }))
      .sort((a, b) => (b.number || 0) - (a.number || 0));
  }

  drawName(cell, row) {
    if (row.isSeries) {
      if (!cell.firstChild) cell.append(element("span", { class: "labels" }));
      setText(cell.firstChild, formatLabels(row.labels) || "no labels");
      setTitle(cell.firstChild, formatLabels(row.labels));
      return;
    }
    const { family } = row;
    if (!cell.firstChild) cell.append(this.makeName(family.name));
    const [button, help] = cell.firstChild.children;
    const isOpen = this.opened.has(family.name);
    button.setAttribute("aria-expanded", String(isOpen));
    setText(button, family.name);
    setText(help, family.help || "");
    setTitle(help, family.help || "");
  }

  makeName(name) {
    const button = element("button", { type: "button", class: "open" });
    button.addEventListener("click", () => {
      if (!this.opened.delete(name)) this.opened.add(name);
      this.fill();
      this.draw?.();
    });
    return element("div", {}, button, element("span", { class: "help" }));
  }
}

function describeUnread(count) {
  const subject = count === 1 ? "1 metric is" : `${formatNumber(count)} metrics are`;
  return `${subject} not read, as the server has more than ${formatNumber(MAX_SERIES)} series. Filter for the metric that you want to see.`;
}

function formatPerSecond(rate) {
  if (!isNumber(rate)) return NOTHING;
  const text = formatRate(rate);
  return text.endsWith("/min") ? text : `${text}/s`;
}
