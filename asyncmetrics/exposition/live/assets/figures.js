// What several sections show of histograms: quantiles that low traffic does not make disappear, with their tones.

const QUANTILES = [0.5, 0.95, 0.99];
const MOST_REMEMBERED = 20000;
const lastQuantiles = new Map();

/**
 * Return `{values, age, isAll}`: the quantiles of the window. Without an observation in it they are the last known ones
 * with their age, or those since the start of the server.
 */
function readQuantiles(view, children, key, scale = 1) {
  const summaries = children.filter(({ quantiles }) => quantiles.length);
  if (summaries.length) return readSummary(summaries, scale);
  const buckets = view.buckets(children);
  if (view.history.isReady && buckets.total > 0) {
    const fresh = { values: takeQuantiles(buckets, scale), age: 0, at: view.now };
    if (lastQuantiles.size >= MOST_REMEMBERED) lastQuantiles.clear();
    lastQuantiles.set(key, fresh);
    return fresh;
  }
  const last = lastQuantiles.get(key);
  if (last) return { ...last, age: Math.max(0, view.now - last.at) };
  const all = view.buckets(children, (name) => view.history.values.get(name) || 0);
  return { values: takeQuantiles(all, scale), age: Infinity };
}

function takeQuantiles(buckets, scale) {
  return QUANTILES.map((q) => {
    const { value, isAbove } = buckets.quantile(q);
    return { value: value * scale, isAbove };
  });
}

/** The quantiles that a server has computed itself; they cannot be merged, so the largest one is shown. */
function readSummary(children, scale) {
  const values = QUANTILES.map((q) => {
    const found = children.flatMap(({ quantiles }) => quantiles.filter(({ labels }) => Number(labels.quantile) === q));
    return { value: findLargest(found.map(({ value }) => value)) * scale, isAbove: false };
  });
  return { values, age: 0 };
}

/** Return the largest finite number, NaN for none. A spread of more than some 100,000 arguments would be an error. */
function findLargest(numbers) {
  return numbers.reduce((most, number) => (isNumber(number) && !(number <= most) ? number : most), NaN);
}

function formatQuantile({ value, isAbove }, format = formatSeconds) {
  return Number.isNaN(value) ? NOTHING : `${isAbove ? "> " : ""}${format(value)}`;
}

function explainAge({ age, values }) {
  if (!age || values.every(({ value }) => Number.isNaN(value))) return "";
  if (age === Infinity) return "Nothing in the last 10 s: this is since the start of the server.";
  return `Nothing in the last 10 s: this is of ${formatSeconds(age)} ago.`;
}

/** Return the columns p50, p95 and p99 of rows with `quantiles`. */
function quantileColumns(hint = "of the last 10 seconds") {
  return QUANTILES.map((q, index) => ({
    id: `p${q * 100}`,
    title: `p${q * 100}`,
    names: "number",
    hint: `${q * 100} % took at most this long, ${hint}`,
    value: ({ quantiles }) => quantiles.values[index].value,
    text: ({ quantiles }) => formatQuantile(quantiles.values[index]),
    tone: ({ quantiles }) => (quantiles.age ? "old" : ""),
    more: ({ quantiles }) => explainAge(quantiles),
  }));
}

/** Return a column of numbers that `read` returns of a row. */
function numberColumn(id, title, read, format = formatNumber, others = {}) {
  const tone = (row) => others.tone?.(row) || (read(row) === 0 ? "zero" : "");
  return { id, title, names: "number", value: read, text: (row) => format(read(row)), ...others, tone };
}

function textColumn(id, title, read, others = {}) {
  return { id, title, value: read, text: read, ...others };
}

/** Return a column with a sparkline of the points of each row. */
function trendColumn(title, points, label, options) {
  return {
    id: "trend",
    title,
    names: "trend",
    draw: (cell, row) => drawSparkline(getCanvas(cell, "spark", label(row)), points(row), options?.(row)),
  };
}

/** Group samples or children by what `read` returns, an array of texts: a Map of `{key, names, items}`. */
function groupBy(items, read) {
  const groups = new Map();
  for (const item of items) {
    const names = read(item.labels);
    const key = JSON.stringify(names);
    if (!groups.has(key)) groups.set(key, { key, names, items: [] });
    groups.get(key).items.push(item);
  }
  return groups;
}

function sumValues(samples) {
  return samples.reduce((sum, { value }) => sum + value, 0);
}
