// Read an exposition: Prometheus' text format and OpenMetrics, to families. A line that cannot be read is counted and
// skipped: a live view of the rest is worth more than none. Label sets are kept between two texts by their spelling.

const BARE_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const SUFFIXES = {
  counter: ["_total", "_created"],
  summary: ["_count", "_sum", "_created"],
  histogram: ["_bucket", "_count", "_sum", "_created"],
  gaugehistogram: ["_bucket", "_gcount", "_gsum"],
  info: ["_info"],
};
// Any other word is no type: one such as "constructor" would be found in SUFFIXES.
const TYPES = new Set(["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]);
const ALL_SUFFIXES = ["_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"];

function unescapeText(text) {
  return text.includes("\\") ? text.replace(/\\([\\n"])/g, (_, mark) => (mark === "n" ? "\n" : mark)) : text;
}

/** Undo the escapes of a HELP; quotes are escaped in OpenMetrics only. */
function unescapeHelp(text, isOpenMetrics) {
  if (isOpenMetrics) return unescapeText(text);
  return text.includes("\\") ? text.replace(/\\([\\n])/g, (_, mark) => (mark === "n" ? "\n" : mark)) : text;
}

function parseNumber(text) {
  switch (text.toLowerCase()) {
    case "+inf": case "inf": case "+infinity": case "infinity": return Infinity;
    case "-inf": case "-infinity": return -Infinity;
    case "nan": case "+nan": case "-nan": return NaN;
  }
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
}

/** Return where the text in double quotes that begins at `start` ends: behind its last quote; -1 if it never does. */
function endOfQuoted(line, start) {
  for (let at = start + 1; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) return at + 1;
  }
  return -1;
}

/** Return where the braces that open at `start` end, -1 if they never do. */
function endOfBraces(line, start) {
  for (let at = start + 1; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === 125) return at + 1;
    if (code === 34) {
      at = endOfQuoted(line, at) - 1;
      if (at < 0) return -1;
    }
  }
  return -1;
}

/** Read what is between braces: `{name, labels}`, where `name` is a metric name in quotes; null if it is wrong. */
function readLabels(text) {
  const labels = Object.create(null);
  let name = null;
  let at = 0;
  const skipBlanks = () => { while (text[at] === " " || text[at] === "\t") at++; };
  for (skipBlanks(); at < text.length; skipBlanks()) {
    let key;
    const isQuoted = text[at] === '"';
    if (isQuoted) {
      const end = endOfQuoted(text, at);
      if (end < 0) return null;
      key = unescapeText(text.slice(at + 1, end - 1));
      at = end;
    } else {
      const found = BARE_NAME.exec(text.slice(at, at + 1024));
      if (!found) return null;
      key = found[0];
      at += key.length;
    }
    skipBlanks();
    if (text[at] === "=") {
      at++;
      skipBlanks();
      const end = text[at] === '"' ? endOfQuoted(text, at) : -1;
      if (end < 0 || key in labels) return null;
      labels[key] = unescapeText(text.slice(at + 1, end - 1));
      at = end;
    } else if (isQuoted && name === null) {
      name = key;
    } else {
      return null;
    }
    skipBlanks();
    if (at < text.length) {
      if (text[at] !== ",") return null;
      at++;
    }
  }
  return { name, labels };
}

/** Reads texts of one server. The spellings of the last text are kept, so that the next one is read faster. */
class TextReader {
  constructor() {
    this.known = new Map();
  }

  /** Return `{families, problems, series}`: a Map by name, the first lines that are wrong, the number of samples. */
  read(text, isOpenMetrics) {
    const before = this.known;
    this.known = new Map();
    const metadata = new Map();
    const samples = [];
    const problems = { count: 0, first: "" };
    let start = 0;
    while (start < text.length) {
      let end = text.indexOf("\n", start);
      if (end < 0) end = text.length;
      const code = text.charCodeAt(start);
      if (code === 35) {
        readMetadata(text.slice(start, end), metadata, isOpenMetrics);
      } else if (end > start) {
        const line = text.slice(start, end);
        const sample = this.readSample(line, before);
        if (sample) samples.push(sample);
        else if (/^[ \t]*#/.test(line)) readMetadata(line.trimStart(), metadata, isOpenMetrics);
        else if (line.trim() !== "") {
          problems.count++;
          problems.first ||= line.slice(0, 200);
        }
      }
      start = end + 1;
    }
    return { families: groupSamples(samples, metadata, isOpenMetrics), problems, series: samples.length };
  }

  readSample(line, before) {
    let end = 0;
    while (end < line.length) {
      const code = line.charCodeAt(end);
      if (code === 123) {
        end = endOfBraces(line, end);
        break;
      }
      if (code === 32 || code === 9) {
        const next = /^[ \t]*\{/.exec(line.slice(end));
        if (!next || end === 0) break;
        end += next[0].length - 1;
      } else end++;
    }
    if (end <= 0) return null;
    const key = line.slice(0, end);
    const series = this.known.get(key) || before.get(key) || readSeries(key);
    if (!series) return null;
    const [number] = line.slice(end).trimStart().split(/[ \t]/, 1);
    const value = parseNumber(number);
    if (value === null) return null;
    this.known.set(key, series);
    return { name: series.name, labels: series.labels, series, key, value };
  }
}

function readSeries(text) {
  const brace = text.indexOf("{");
  if (brace < 0) return BARE_NAME.exec(text)?.[0] === text ? { name: text, labels: Object.create(null) } : null;
  const found = readLabels(text.slice(brace + 1, -1));
  if (!found) return null;
  const bare = text.slice(0, brace).trim();
  const name = bare === "" ? found.name : found.name === null && BARE_NAME.exec(bare)?.[0] === bare ? bare : null;
  return name ? { name, labels: found.labels } : null;
}

function readMetadata(line, metadata, isOpenMetrics) {
  const found = /^#[ \t]+(HELP|TYPE|UNIT)[ \t]+("(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t](.*))?$/.exec(line);
  if (!found) return;
  const name = found[2][0] === '"' ? unescapeText(found[2].slice(1, -1)) : found[2];
  if (!metadata.has(name)) metadata.set(name, { TYPE: "unknown", HELP: "", UNIT: "" });
  const text = (found[3] || "").trim();
  const own = metadata.get(name);
  if (found[1] === "HELP") own.HELP = unescapeHelp(text, isOpenMetrics);
  else if (found[1] === "UNIT") own.UNIT = text;
  else own.TYPE = TYPES.has(text) ? text : "unknown";
}

/** Return the families by name: that of a counter ends in `_total` in both formats, as its samples do. */
function groupSamples(samples, metadata, isOpenMetrics) {
  const families = new Map();
  const owners = new Map();
  const open = (name) => {
    const { TYPE, HELP, UNIT } = metadata.get(name) || { TYPE: "unknown", HELP: "", UNIT: "" };
    const shown = TYPE === "counter" && isOpenMetrics ? `${name}_total` : TYPE === "info" ? `${name}_info` : name;
    if (!families.has(shown)) families.set(shown, { name: shown, base: name, type: TYPE, help: HELP, unit: UNIT, samples: [] });
    return families.get(shown);
  };
  for (const name of metadata.keys()) open(name);
  for (const sample of samples) {
    let family = owners.get(sample.name);
    if (!family) {
      family = open(findOwner(sample.name, metadata, isOpenMetrics));
      owners.set(sample.name, family);
    }
    family.samples.push(sample);
  }
  return families;
}

function findOwner(name, metadata, isOpenMetrics) {
  if (metadata.has(name) && !(isOpenMetrics && metadata.get(name).TYPE === "counter")) return name;
  for (const suffix of ALL_SUFFIXES) {
    if (!name.endsWith(suffix)) continue;
    const base = name.slice(0, -suffix.length);
    const type = metadata.get(base)?.TYPE;
    if (type && SUFFIXES[type]?.includes(suffix)) return base;
  }
  return name;
}
