// The event loop: the functions that block it, and its tasks.

class Blocks {
  constructor() {
    this.section = new Section("blocks", "Functions that block the event loop", "nothing else runs meanwhile");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("function", "Function", ({ name }) => name, { names: "code", more: ({ name }) => name }),
      numberColumn("share", "of the time", ({ share }) => share, formatShare, {
        hint: "share of the last 10 seconds", tone: ({ share }) => (share >= 0.1 ? "bad" : share > 0 ? "warn" : ""),
      }),
      numberColumn("mean", "each", ({ mean }) => mean, formatSeconds, { hint: "mean of all its blocks" }),
      numberColumn("blocks", "blocks", ({ blocks }) => blocks, formatNumber, { hint: "since the start of the server" }),
      numberColumn("seconds", "in all", ({ seconds }) => seconds, formatSeconds, { hint: "since the start of the server" }),
      trendColumn("Share over time", ({ key }) => this.tracks.points(key), ({ share }) => `blocked: ${formatShare(share)}`, () => ({ colour: "--warn" })),
    ], { sort: "share", caption: "Functions that block the event loop" });
  }

  update(view) {
    const counts = groupBy(view.samples("event_loop_blocks_total", "function"), ({ function: name }) => [name ?? ""]);
    const groups = groupBy(view.samples("event_loop_blocked_seconds_total", "function"), ({ function: name }) => [name ?? ""]);
    const { history } = view;
    const rows = [...groups.values()].map(({ key, names: [name], items }) => {
      const seconds = sumValues(items);
      const blocks = counts.has(key) ? sumValues(counts.get(key).items) : NaN;
      const sum = (read) => items.reduce((all, sample) => all + read(sample.key), 0);
      return {
        key, name, seconds, blocks, mean: seconds / blocks,
        share: history.rate(sum((of) => history.increase(of))),
        last: history.lastSeconds ? sum((of) => history.lastIncrease(of)) / history.lastSeconds : NaN,
      };
    });
    this.tracks.push(new Map(rows.map(({ key, last }) => [key, last])));
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }
}

class Tasks {
  constructor() {
    this.section = new Section("tasks", "Tasks");
    this.tracks = new Tracks(NaN);
    this.table = new Table(this.section.body, [
      textColumn("coroutine", "Coroutine", ({ name }) => name, { names: "code", more: ({ name }) => name }),
      numberColumn("count", "tasks", ({ count }) => count),
      numberColumn("oldest", "oldest", ({ oldest }) => oldest, formatSeconds),
      trendColumn("Tasks over time", ({ key }) => this.tracks.points(key), ({ count }) => `tasks: ${formatNumber(count)}`),
    ], { sort: "count", caption: "Tasks of the event loop" });
  }

  update(view) {
    const oldest = groupBy(view.samples("event_loop_oldest_task_seconds", "coroutine"), ({ coroutine }) => [coroutine ?? ""]);
    const groups = groupBy(view.samples("event_loop_tasks", "coroutine"), ({ coroutine }) => [coroutine ?? ""]);
    const rows = [...groups.values()].map(({ key, names: [name], items }) => ({
      key, name, count: sumValues(items),
      oldest: (oldest.get(key)?.items || []).reduce((most, { value }) => (most > value ? most : value), NaN),
    }));
    this.tracks.push(new Map(rows.map(({ key, count }) => [key, count])));
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }
}
