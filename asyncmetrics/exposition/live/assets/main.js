// The page: reads, shows, and waits, for as long as it is open.

const byId = (id) => document.getElementById(id);
const INTERVALS = [1, 2, 5, 10, 30];

class Page {
  constructor() {
    this.source = new Source(location.pathname);
    this.selection = new Selection();
    this.history = new History();
    this.tiles = new Tiles();
    this.sections = [Routes, Streams, Workers, Clients, Pools, Blocks, Jobs, Logs, Failures].map((Kind) => new Kind());
    this.own = new OwnMetrics(this.selection);
    this.tasks = new Tasks();
    this.cardinality = new Cardinality(() => this.countAll());
    this.interval = 2;
    this.isPaused = false;
    this.failedTimes = 0;
    this.reads = 0; // also those that failed
    this.timer = 0;
    this.connectControls();
    this.showState("", "starting");
  }

  connectControls() {
    const select = byId("interval");
    for (const seconds of INTERVALS) select.append(element("option", { value: String(seconds), text: `every ${seconds} s` }));
    select.value = String(this.interval);
    select.addEventListener("change", () => {
      this.interval = Number(select.value);
      this.hurry();
    });
    byId("pause").addEventListener("click", () => this.pause(!this.isPaused));
    byId("theme").addEventListener("click", () => this.changeTheme());
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.source.token = byId("token").value.trim();
      byId("token").value = "";
      this.hurry();
    });
    byId("retry").addEventListener("click", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(document.querySelector("main"));
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    setText(byId("pause"), isPaused ? "Resume" : "Pause");
    byId("pause").setAttribute("aria-pressed", String(isPaused));
    if (isPaused) {
      clearTimeout(this.timer);
      this.showState("paused", "paused");
    } else this.hurry();
  }

  changeTheme() {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    this.redraw();
  }

  redraw() {
    colours = null;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      this.tiles.draw();
      for (const { table } of [...this.sections, this.own, this.tasks]) if (table.order) table.render(false);
    });
  }

  /** Read now, unless a text is being read. */
  hurry() {
    if (this.isReading || this.isPaused) return;
    clearTimeout(this.timer);
    this.turn();
  }

  async countAll() {
    this.isCounting = true;
    this.cardinality.countedAt = -Infinity;
    this.hurry();
  }

  async turn() {
    this.isReading = true;
    let pause = this.interval;
    try {
      const chosen = this.isCounting ? null : this.selection.choose();
      this.isCounting = false;
      const read = await this.source.read(chosen?.names);
      const began = performance.now();
      this.take(read, chosen);
      const seconds = read.fetchSeconds + read.parseSeconds + (performance.now() - began) / 1000;
      pause = Math.max(pause, 4 * seconds); // no more than a fifth of the time, however long a text takes
      this.failedTimes = 0;
    } catch (error) {
      const isKnown = error instanceof SourceFailure;
      if (!isKnown) console.error(error); // a fault of the page itself, which must not end it
      this.fail(isKnown ? error : new SourceFailure("refused", `the page cannot show this text (${error.message})`));
      pause = error.kind === "token" ? Infinity : Math.min(pause * 1.5 ** this.failedTimes, Math.max(pause, LONGEST_PAUSE_SECONDS));
    } finally {
      this.isReading = false;
      document.body.dataset.reads = String(++this.reads);
    }
    if (document.hidden) pause = Math.max(pause, HIDDEN_SECONDS);
    if (!this.isPaused && pause < Infinity) this.timer = setTimeout(() => this.turn(), pause * 1000);
  }

  take(read, chosen) {
    const isAll = this.selection.note(read, chosen);
    this.history.add(read.families, read.at, isAll ? null : chosen.families);
    const view = new View(read.families, this.history, read.now);
    this.tiles.update(view);
    for (const section of this.sections) section.update(view);
    this.own.update(view);
    this.tasks.update(view);
    this.cardinality.update(view, isAll, read.series);
    this.tiles.draw();
    this.showRead(read, isAll);
  }

  showRead(read, isAll) {
    byId("token-form").hidden = true;
    byId("problem").hidden = true;
    byId("empty").hidden = read.series > 0;
    document.body.classList.remove("is-stale");
    const facts = [`${formatNumber(read.series)} series`, formatBytes(read.bytes), `read in ${formatSeconds(read.fetchSeconds)}`, `parsed in ${formatSeconds(read.parseSeconds)}`];
    if (!isAll) facts.push(`a part of ${formatNumber(this.countCatalogue())} series`);
    setText(byId("facts"), facts.join(" · "));
    // One step may be longer than the window: then there are no figures of a shorter time.
    setText(byId("window"), `${Math.max(WINDOW_SECONDS, Math.round(this.history.seconds))} seconds`);
    const { count, first } = read.problems;
    byId("skipped").hidden = count === 0;
    if (count) setText(byId("skipped"), `${formatNumber(count)} lines cannot be read and are left out. The first one: ${first}`);
    if (!this.isPaused) this.showState("live", "live");
  }

  countCatalogue() {
    return [...this.selection.catalogue.values()].reduce((sum, { series }) => sum + series, 0);
  }

  fail(error) {
    this.failedTimes++;
    const needsToken = error.kind === "token";
    byId("token-form").hidden = !needsToken;
    byId("problem").hidden = needsToken;
    document.body.classList.toggle("is-stale", this.history.values !== null);
    if (needsToken) {
      this.source.token = "";
      setText(byId("token-problem"), error.message);
      byId("token").focus();
      this.showState("waiting", "token needed");
      return;
    }
    this.failedAt = this.failedTimes === 1 ? Date.now() : this.failedAt;
    const since = new Date(this.failedAt).toLocaleTimeString();
    setText(byId("problem-text"), `No metrics since ${since}: ${error.message}. The page tries again by itself.`);
    this.showState("down", "down");
  }

  showState(state, text) {
    const status = byId("status");
    setText(status, text);
    setText(byId("address"), this.source.address);
    setClass(status, `status ${state}`);
    document.title = showText(`${state === "live" ? "" : `${text} · `}${this.source.host} · live metrics`);
  }
}

new Page().turn();
