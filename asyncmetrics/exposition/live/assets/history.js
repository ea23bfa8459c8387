// What has increased, and in what time: rates and quantiles of the last ten seconds, by Prometheus' rules.

const WINDOW_SECONDS = 10;
const TRACK_POINTS = 150;

function isCumulative(family, name) {
  switch (family.type) {
    case "counter": return !name.endsWith("_created") || family.base.endsWith("_created");
    case "histogram": return !name.endsWith("_created");
    case "summary": return name === `${family.base}_count` || name === `${family.base}_sum`;
    case "unknown": return name.endsWith("_total");
    default: return false;
  }
}

/** The increases between the texts of one server. */
class History {
  constructor() {
    this.values = null; // of the last text, by the spelling of the series; null before the first one
    this.steps = []; // the increases between two texts, of the last ten seconds
    this.increases = new Map();
    this.seconds = 0; // that the increases took
    this.asked = null;
  }

  /** Add a text that was read at `at` (seconds); `asked` has the names that the server was asked for, null for all. */
  add(families, at, asked) {
    const values = new Map();
    const increases = new Map();
    const before = this.values;
    for (const family of families.values()) {
      const isKnown = before !== null && (this.asked === null || this.asked.has(family.name));
      const decided = new Map();
      for (const { name, key, value } of family.samples) {
        let counts = decided.get(name);
        if (counts === undefined) decided.set(name, (counts = isCumulative(family, name)));
        if (!counts || Number.isNaN(value)) continue;
        values.set(key, value);
        const last = before?.get(key);
        // A counter that is lower than before has begun again, and a series that is new begins with 0.
        const increase = last === undefined ? (isKnown ? value : 0) : value < last ? value : value - last;
        if (increase !== 0) increases.set(key, increase);
      }
    }
    if (before !== null) this.steps.push({ at, seconds: at - this.at, increases });
    this.steps = this.steps.filter((step, index) => step.at > at - WINDOW_SECONDS + 0.5 || index === this.steps.length - 1);
    this.values = values;
    this.asked = asked;
    this.at = at;
    this.join();
  }

  join() {
    this.increases = new Map();
    this.seconds = 0;
    for (const step of this.steps) {
      this.seconds += step.seconds;
      for (const [key, increase] of step.increases) this.increases.set(key, (this.increases.get(key) || 0) + increase);
    }
  }

  /** Whether there are two texts to compare. */
  get isReady() {
    return this.seconds > 0;
  }

  /** The increase of a series in the window, and in the last step. */
  increase(key) {
    return this.increases.get(key) || 0;
  }

  lastIncrease(key) {
    return this.steps.at(-1)?.increases.get(key) || 0;
  }

  get lastSeconds() {
    return this.steps.at(-1)?.seconds || 0;
  }

  rate(increase) {
    return this.isReady ? increase / this.seconds : NaN;
  }
}

/** Counts by upper bound, summed over series: `add` takes what a bucket has counted up to its bound. */
class Buckets {
  constructor() {
    this.counts = new Map();
  }

  add(bound, count) {
    this.counts.set(bound, (this.counts.get(bound) || 0) + count);
  }

  sorted() {
    let most = 0;
    return [...this.counts].sort(([a], [b]) => a - b).map(([bound, count]) => [bound, (most = Math.max(most, count))]);
  }

  get total() {
    return this.counts.get(Infinity) || 0;
  }

  /** Return `{value, isAbove}` as histogram_quantile does; `isAbove` is whether it lies above the last finite bound. */
  quantile(q) {
    const buckets = this.sorted();
    const last = buckets.length - 1;
    if (last < 1 || buckets[last][0] !== Infinity || !(buckets[last][1] > 0)) return { value: NaN, isAbove: false };
    let rank = q * buckets[last][1];
    const index = buckets.findIndex(([, count]) => count >= rank);
    if (index === last) return { value: buckets[last - 1][0], isAbove: true };
    const [end] = buckets[index];
    if (index === 0 && end <= 0) return { value: end, isAbove: false };
    const start = index === 0 ? 0 : buckets[index - 1][0];
    const below = index === 0 ? 0 : buckets[index - 1][1];
    const count = buckets[index][1] - below;
    rank -= below;
    return { value: start + (end - start) * (count > 0 ? rank / count : 0), isAbove: false };
  }

  /** The counts of each bucket by itself. */
  parts() {
    let below = 0;
    return this.sorted().map(([bound, count]) => {
      const part = [bound, count - below];
      below = count;
      return part;
    });
  }
}

/** Points of the last minutes; `push` forgets the oldest. */
class Track {
  constructor() {
    this.points = [];
  }

  push(point) {
    this.points.push(point);
    if (this.points.length > TRACK_POINTS) this.points.shift();
  }
}

/** Tracks by key, all as long as the page lives: one that was not pushed to at a text gets `empty` instead. */
class Tracks {
  constructor(empty) {
    this.tracks = new Map();
    this.empty = empty;
    this.length = 0;
  }

  /** Push one point for each key of `points`, a Map; a key that is new begins at the right edge. */
  push(points) {
    for (const key of points.keys()) if (!this.tracks.has(key)) this.tracks.set(key, new Track());
    for (const [key, track] of this.tracks) {
      track.push(points.has(key) ? points.get(key) : this.empty);
      if (!points.has(key) && track.points.every((point) => point === this.empty)) this.tracks.delete(key);
    }
  }

  points(key) {
    return this.tracks.get(key)?.points || [];
  }
}
