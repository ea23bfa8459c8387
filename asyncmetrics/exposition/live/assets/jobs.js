// What runs without requests: periodic functions, heartbeats, batch jobs and health checks, and whether they are late.

const LATE_INTERVALS = 3; // as in docs/rules/alerts.yml
const STATES = { ok: "ok", late: "late", failing: "failing", waiting: "no success yet" };
const STATE_TONES = { ok: "good", late: "bad", failing: "bad", waiting: "warn" };

class Jobs {
  constructor() {
    this.section = new Section("jobs", "Jobs, heartbeats and health checks");
    this.table = new Table(this.section.body, [
      textColumn("name", "Name", ({ name }) => name, { names: "code", more: ({ name }) => name }),
      textColumn("kind", "Kind", ({ kind }) => kind),
      textColumn("state", "State", ({ state }) => STATES[state], { names: "state", tone: ({ state }) => STATE_TONES[state] }),
      numberColumn("age", "last success", ({ age }) => age, (age) => (Number.isNaN(age) ? NOTHING : `${formatSeconds(age)} ago`)),
      numberColumn("interval", "every", ({ interval }) => interval, (interval) => formatSeconds(interval).replace(/\.0+(?= )/, "")),
      numberColumn("duration", "p95", ({ duration }) => duration, formatSeconds, {
        hint: "duration of the last 10 seconds, or of the last runs", tone: ({ isOld }) => (isOld ? "old" : ""),
      }),
      numberColumn("failures", "failures", ({ failures }) => failures, formatNumber, {
        hint: "since the start of the server", tone: ({ failures }) => (failures > 0 ? "warn" : ""),
      }),
    ], { sort: "state", caption: "Jobs, heartbeats and health checks", isDescending: false });
  }

  update(view) {
    const rows = [...this.readPeriodics(view), ...this.readHeartbeats(view), ...this.readBatchJobs(view), ...this.readChecks(view)];
    this.section.show(rows.length > 0, rows.length);
    this.table.update(rows);
  }

  /** Return the samples of a metric by the job's name: the latest, or the sum, over workers and other labels. */
  read(view, base, label, name, join = Math.max) {
    const values = (view.index(base, label).get(name) || []).map(({ value }) => value);
    return values.length ? values.reduce((all, value) => join(all, value)) : NaN;
  }

  names(view, label, ...bases) {
    const samples = bases.flatMap((base) => view.samples(base, label));
    return [...new Set(samples.map(({ labels }) => labels[label]).filter((name) => name !== undefined))];
  }

  measure(view, kind, name, base, label) {
    const children = view.index(base, label, true).get(name);
    if (!children) return { duration: NaN, isOld: false };
    const { values, age } = readQuantiles(view, children, `job ${kind} ${name}`);
    return { duration: values[1].value, isOld: age > 0 };
  }

  readPeriodics(view) {
    const add = (sum, value) => sum + value;
    return this.names(view, "periodic", "periodic_interval_seconds").map((name) => {
      const interval = this.read(view, "periodic_interval_seconds", "periodic", name);
      const last = this.read(view, "periodic_last_success_timestamp_seconds", "periodic", name);
      const start = this.read(view, "periodic_start_timestamp_seconds", "periodic", name);
      const active = this.read(view, "periodic_active_runs", "periodic", name, add);
      const failures = this.read(view, "periodic_run_exceptions_total", "periodic", name, add);
      const age = last > 0 ? Math.max(0, view.now - last) : NaN;
      const since = view.now - Math.max(last || 0, start || 0);
      const { duration, isOld } = this.measure(view, "periodic", name, "periodic_run_duration_seconds", "periodic");
      const isLate = since > LATE_INTERVALS * interval;
      const state = isLate ? (active > 0 ? "late" : "failing") : Number.isNaN(age) ? "waiting" : "ok";
      return { key: `periodic ${name}`, kind: "periodic", name, state, age, interval, duration, isOld, failures: failures || 0 };
    });
  }

  readHeartbeats(view) {
    return this.names(view, "heartbeat", "heartbeat_interval_seconds").map((name) => {
      const interval = this.read(view, "heartbeat_interval_seconds", "heartbeat", name);
      const last = this.read(view, "heartbeat_last_timestamp_seconds", "heartbeat", name, Math.min);
      const age = last > 0 ? Math.max(0, view.now - last) : NaN;
      const state = Number.isNaN(age) ? "waiting" : age > LATE_INTERVALS * interval ? "late" : "ok";
      return { key: `heartbeat ${name}`, kind: "heartbeat", name, state, age, interval, duration: NaN, failures: NaN };
    });
  }

  readBatchJobs(view) {
    const bases = ["batch_job_last_run_timestamp_seconds", "batch_job_last_success_timestamp_seconds"];
    return this.names(view, "batch_job", ...bases).map((name) => {
      const last = this.read(view, bases[1], "batch_job", name);
      const succeeded = this.read(view, "batch_job_last_succeeded", "batch_job", name);
      const age = last > 0 ? Math.max(0, view.now - last) : NaN;
      const state = succeeded === 0 ? "failing" : Number.isNaN(age) ? "waiting" : "ok";
      const duration = this.read(view, "batch_job_last_duration_seconds", "batch_job", name);
      return { key: `batch ${name}`, kind: "batch job", name, state, age, interval: NaN, duration, failures: NaN };
    });
  }

  readChecks(view) {
    const add = (sum, value) => sum + value;
    return this.names(view, "check", "health_check_up").map((name) => {
      const up = this.read(view, "health_check_up", "check", name, Math.min);
      const last = this.read(view, "health_check_last_success_timestamp_seconds", "check", name);
      const interval = this.read(view, "health_check_interval_seconds", "check", name);
      const failures = this.read(view, "health_check_failures_total", "check", name, add);
      const age = last > 0 ? Math.max(0, view.now - last) : NaN;
      const measured = this.measure(view, "check", name, "health_check_duration_seconds", "check");
      const state = up === 0 ? "failing" : age > LATE_INTERVALS * interval ? "late" : "ok";
      return { key: `check ${name}`, kind: "health check", name, state, age, interval, ...measured, failures: failures || 0 };
    });
  }
}
