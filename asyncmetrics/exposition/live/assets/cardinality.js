// Which metric has most series, and which label makes them.

const COUNT_SECONDS = 10; // between two counts: they need no haste
const ADVISED_SERIES = 100; // from which on it is worth saying what a label costs

class Cardinality {
  constructor(countNow) {
    this.section = new Section("cardinality", "Cardinality", "which metric has most series, and how many values its labels have");
    this.countNow = countNow;
    this.countedAt = -Infinity;
    this.button = element("button", { type: "button", text: "Count now" });
    this.button.hidden = true;
    this.button.addEventListener("click", () => this.countNow());
    this.section.tools.append(this.button);
    this.table = new Table(this.section.body, [
      textColumn("name", "Metric", ({ name }) => name, { names: "code", more: ({ help }) => help }),
      textColumn("type", "Type", ({ type }) => type, { names: "soft" }),
      numberColumn("series", "series", ({ series }) => series, formatNumber),
      { id: "share", title: "Values of its labels", names: "bar", draw: (cell, row) => drawBar(cell, row) },
    ], { sort: "series", caption: "Series by metric" });
    this.table.limit = 10;
  }

  /** Count, if the last count is old; `isAll` is whether the text has everything that the server has. */
  update(view, isAll, series) {
    this.button.hidden = isAll && series <= MAX_SERIES;
    if (!isAll || view.now - this.countedAt < COUNT_SECONDS) return;
    this.countedAt = view.now;
    const rows = [...view.families.values()].filter(({ samples }) => samples.length).map(countFamily);
    const most = rows.reduce((largest, row) => Math.max(largest, row.series), 0);
    for (const row of rows) row.share = row.series / most;
    this.section.show(rows.length > 0, `${formatNumber(series)} series`);
    this.table.update(rows);
  }
}

function countFamily({ name, type, help, samples }) {
  const values = new Map();
  for (const { labels } of samples) {
    for (const label in labels) {
      if (!values.has(label)) values.set(label, new Set());
      values.get(label).add(labels[label]);
    }
  }
  const counts = [...values].map(([label, own]) => [label, own.size]).sort(([, a], [, b]) => b - a);
  const [largest] = counts.filter(([label]) => label !== "le" && label !== "quantile");
  const advice = samples.length >= ADVISED_SERIES && largest && largest[1] > 10 ? adviseWithout(samples, largest[0]) : "";
  return { key: name, name, type, help, series: samples.length, counts, advice };
}

function adviseWithout(samples, label) {
  const left = new Set(samples.map(({ name, labels }) => `${name}${makeKey(labels, label)}`));
  return `without ${label}: ${formatNumber(left.size)} series`;
}

function drawBar(cell, { share, counts, advice }) {
  if (!cell.firstChild) {
    const fill = element("span", { class: "fill" });
    cell.append(element("span", { class: "track", "aria-hidden": "true" }, fill), element("span", { class: "counts" }), element("span", { class: "advice" }));
  }
  const [track, text, hint] = cell.children;
  track.firstChild.style.width = `${Math.max(1, share * 100).toFixed(1)}%`; // through the CSSOM, which the policy allows
  setText(text, counts.map(([label, count]) => `${label}: ${formatNumber(count)}`).join(" · ") || "no labels");
  setText(hint, advice);
}
