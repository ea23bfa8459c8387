// Read the metrics again and again: where they are, with which credentials, how often, and what went wrong.

const MAX_SERIES = 20000; // of one text: above it the page asks by name
const MAX_BYTES = 256 * 1024 * 1024;
const MAX_QUERY = 6000; // characters: nginx refuses a request line of more than 8 kB
const MAX_NAMES = 200; // our own servers read 256 parameters at most
const TIMEOUT_SECONDS = 60;
const HIDDEN_SECONDS = 30;
const LONGEST_PAUSE_SECONDS = 15; // between two attempts to reach a server that is down
const ADDRESS_HEADER = "asyncmetrics-source"; // as in cli/proxy/application.py
const ACCEPT = [
  "text/plain;version=0.0.4;q=0.9", "text/plain;version=1.0.0;escaping=allow-utf-8",
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5", "*/*;q=0.1",
].join(",");

/** An answer without metrics: `kind` is "token", "refused" or "down". */
class SourceFailure extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

class Source {
  constructor(path) {
    // A path may begin with two slashes: behind the origin it cannot become another host.
    this.url = location.origin + (path.replace(/\/live\/?$/, "") || "/");
    this.address = location.host; // what the reader sees: not the path before it is known to be no secret
    this.token = "";
    this.reader = new TextReader();
  }

  /** Read the text once, of the families with `names` only if there are any. Raises `SourceFailure`. */
  async read(names) {
    const query = names ? `?${[...names].map((name) => `name[]=${encodeURIComponent(name)}`).join("&")}` : "";
    const began = performance.now();
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(), TIMEOUT_SECONDS * 1000);
    let response;
    let body;
    try {
      response = await this.request(this.url + query, aborter.signal);
      body = await readText(response);
    } catch (error) {
      if (error instanceof SourceFailure) throw error;
      const isLate = aborter.signal.aborted;
      throw new SourceFailure("down", isLate ? `no answer within ${TIMEOUT_SECONDS} s` : "the server cannot be reached");
    } finally {
      clearTimeout(timer);
    }
    const arrived = performance.now();
    const isOpenMetrics = /^application\/openmetrics-text/i.test(response.headers.get("content-type") || "");
    const found = this.reader.read(body.text, isOpenMetrics);
    return {
      ...found, bytes: body.bytes, at: arrived / 1000, now: readServerTime(response),
      fetchSeconds: (arrived - began) / 1000, parseSeconds: (performance.now() - arrived) / 1000,
    };
  }

  /** The host of the server that is shown. */
  get host() {
    return this.address.replace(/^https?:\/\//, "").split("/", 1)[0];
  }

  async request(url, signal) {
    const headers = { Accept: ACCEPT };
    // A header has bytes: those of the token in UTF-8, each as one character.
    if (this.token) headers.Authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(this.token))}`;
    const response = await fetch(url, { headers, signal, cache: "no-store", mode: "same-origin", credentials: "same-origin" });
    // `asyncmetrics live` names here what it reads, since its own path is a secret.
    this.address = response.headers.get(ADDRESS_HEADER) || this.url;
    if (!response.ok) await refuse(response, this.token);
    const type = response.headers.get("content-type") || "text/plain";
    if (!/^(?:text\/plain|application\/openmetrics-text)\b/i.test(type)) {
      await response.body?.cancel();
      throw new SourceFailure("refused", `the answer is ${type.split(";")[0].slice(0, 60)} and no metrics`);
    }
    return response;
  }
}

async function refuse(response, token) {
  if (response.status === 401) {
    await response.body?.cancel();
    const isBearer = /^bearer\b/i.test(response.headers.get("www-authenticate") || "");
    if (isBearer) throw new SourceFailure("token", token ? "The server refuses this token." : "");
    throw new SourceFailure("refused", "the server asks for a user and a password: reload the page to enter them");
  }
  const text = (await response.text()).trim().split("\n", 1)[0].slice(0, 200).replace(/\.$/, ""); // a sentence follows it
  // `asyncmetrics live` answers for the server that it reads.
  if (response.status === 502 && response.headers.has(ADDRESS_HEADER) && text) {
    throw new SourceFailure("refused", text.replace(/^The metrics cannot be read: /, ""));
  }
  const isText = /^text\/plain\b/i.test(response.headers.get("content-type") || "");
  throw new SourceFailure("refused", `the answer is ${response.status}${isText && text ? `: ${text}` : ""}`);
}

/** Read a body as text, as far as a browser can hold it. */
async function readText(response) {
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  const parts = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > MAX_BYTES) {
      await reader.cancel();
      throw new SourceFailure("refused", `the answer is longer than ${formatBytes(MAX_BYTES)}`);
    }
    parts.push(decoder.decode(value, { stream: true }));
  }
  parts.push(decoder.decode());
  return { text: parts.join(""), bytes };
}

/** Return the server's Unix time: the browser's own clock, unless the header Date shows that it is wrong. */
function readServerTime(response) {
  const own = Date.now() / 1000;
  const date = Date.parse(response.headers.get("date") || "") / 1000;
  return Number.isFinite(date) && Math.abs(date - own) > 2 ? date : own;
}

/** Decide which names to ask for, once a text has more series than the page reads at a time. */
class Selection {
  constructor() {
    this.catalogue = null; // of the last full text: what there is, by name; null while everything is read
    this.isIgnored = false; // the server sends everything whatever it is asked for
    this.wanted = () => false;
  }

  /** Return `{names, families}` to ask for, or null for everything. */
  choose() {
    if (!this.catalogue || this.isIgnored) return null;
    const names = new Set();
    const families = new Set();
    let series = 0;
    let length = 0;
    let hasLarge = false;
    const entries = [...this.catalogue.values()];
    for (const entry of [...entries.filter(({ name }) => this.wanted(name)), ...entries.filter(({ name }) => isShownApart(name))]) {
      const size = entry.names.reduce((sum, name) => sum + encodeURIComponent(name).length + 8, 0);
      const isTooMuch = length + size > MAX_QUERY || names.size + entry.names.length > MAX_NAMES;
      // One metric that is wanted may be larger than all others together may be: it could not be seen otherwise.
      const isLarge = entry.series > MAX_SERIES && !hasLarge && this.wanted(entry.name);
      if (families.has(entry.name) || isTooMuch || (series + entry.series > MAX_SERIES && !isLarge)) continue;
      for (const name of entry.names) names.add(name);
      families.add(entry.name);
      if (isLarge) hasLarge = true;
      else series += entry.series;
      length += size;
    }
    return names.size ? { names, families } : null;
  }

  /** Note what has come, and return whether it was everything. */
  note(read, chosen) {
    if (chosen && [...read.families.keys()].some((name) => !chosen.families.has(name) && !this.isNamedLike(name, chosen))) {
      this.isIgnored = true;
    }
    const isAll = !chosen || this.isIgnored;
    if (isAll) this.catalogue = read.series > MAX_SERIES ? listFamilies(read.families) : null;
    return isAll;
  }

  /** A restricted family may come without its TYPE: then its samples are families by themselves. */
  isNamedLike(name, { names }) {
    return names.has(name);
  }
}

function listFamilies(families) {
  const catalogue = new Map();
  for (const { name, base, type, help, samples } of families.values()) {
    const names = new Set([...samples.map((sample) => sample.name), base]);
    catalogue.set(name, { name, type, help, names: [...names], series: samples.length });
  }
  return catalogue;
}
