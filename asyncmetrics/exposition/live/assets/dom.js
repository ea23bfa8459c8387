// Elements and tables. All text goes through `textContent`: nothing that a server sends is markup.

const LONGEST_TEXT = 300;
// Control characters, and those that change the direction of the text around them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Return a text with escapes for what would be invisible or would turn the text around it. */
function showText(text) {
  const short = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
  return short.replace(UNSEEN, (unseen) => `\\u${unseen.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Create an element; `class` and `text` are what they say, the rest are attributes. */
function element(tag, { text, class: names, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (names) made.className = names;
  if (text !== undefined) made.textContent = showText(text);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...children);
  return made;
}

function setText(node, text) {
  const shown = showText(text);
  if (node.textContent !== shown) node.textContent = shown;
}

function setClass(node, names) {
  if (node.className !== names) node.className = names;
}

function setTitle(node, text) {
  const shown = text ? showText(text) : "";
  if (shown ? node.title !== shown : node.hasAttribute("title")) shown ? (node.title = shown) : node.removeAttribute("title");
}

/** A section of the page with a heading, hidden until it has something to show. */
class Section {
  constructor(id, title, hint = "") {
    this.heading = element("h2", { text: title });
    this.count = element("span", { class: "count" });
    this.tools = element("div", { class: "tools" });
    const hints = hint ? [element("p", { class: "hint", text: hint })] : [];
    const head = element("div", { class: "head" }, this.heading, this.count, ...hints, this.tools);
    this.body = element("div", { class: "body" });
    this.root = element("section", { id, "aria-label": title }, head, this.body);
    this.root.hidden = true;
    document.querySelector("main").append(this.root);
  }

  show(isShown, count) {
    if (this.root.hidden === isShown) this.root.hidden = !isShown;
    setText(this.count, count === undefined ? "" : String(count));
  }
}

const PAGE_ROWS = 50;

/**
 * A table whose rows are kept by key, so that focus, selection and scrolling survive an update.
 *
 * A column has `id`, `title`, and of a row `value` (what it is sorted by) and `text`; `title` and `tone` are optional,
 * and `draw(cell, row)` fills a cell instead of `text`. The first column is the name of the row. A row may have a
 * `parent`, which is a row as well.
 */
class Table {
  constructor(section, columns, { sort, caption, isDescending = true }) {
    this.columns = columns;
    this.sort = sort;
    this.isDescending = isDescending;
    this.limit = PAGE_ROWS;
    this.rows = [];
    this.kept = new Map();
    this.tbody = element("tbody");
    this.headings = columns.map((column) => this.makeHeading(column));
    const table = element(
      "table", {}, element("caption", { text: caption, class: "unseen" }),
      element("thead", {}, element("tr", {}, ...this.headings)), this.tbody,
    );
    this.scroller = element("div", { class: "scroller", tabindex: "0", role: "group", "aria-label": `${caption}, table` }, table);
    this.more = element("button", { type: "button", class: "more" });
    this.more.hidden = true;
    this.more.addEventListener("click", () => {
      this.limit += PAGE_ROWS;
      this.render(true);
    });
    section.append(this.scroller, this.more);
    this.markSort();
  }

  makeHeading(column) {
    const heading = element("th", { scope: "col", class: column.names || "" });
    if (!column.value) {
      heading.append(element("span", { text: column.title }));
      return heading;
    }
    const button = element("button", { type: "button", text: column.title, ...(column.hint && { title: column.hint }) });
    button.addEventListener("click", () => {
      this.isDescending = this.sort === column.id ? !this.isDescending : typeof this.sample(column) !== "string";
      this.sort = column.id;
      this.markSort();
      this.render(true);
    });
    heading.append(button);
    return heading;
  }

  sample(column) {
    return this.rows.length ? column.value(this.rows[0]) : 0;
  }

  markSort() {
    this.columns.forEach(({ id, value }, index) => {
      if (!value) return;
      const direction = id !== this.sort ? "none" : this.isDescending ? "descending" : "ascending";
      this.headings[index].setAttribute("aria-sort", direction);
    });
  }

  update(rows) {
    this.rows = rows;
    // Rows do not move under the pointer of someone who reads them, or under the focus.
    this.render(!this.tbody.matches(":hover, :focus-within"));
  }

  render(mayMove) {
    const rows = mayMove || !this.order ? this.sortRows() : this.keepOrder();
    this.order = new Map(rows.map(({ key }, index) => [key, index]));
    const shown = rows.slice(0, this.limit);
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, kept] of this.kept) {
      if (keys.has(key)) continue;
      kept.row.remove();
      this.kept.delete(key);
    }
    let place = this.tbody.firstChild;
    for (const row of shown) {
      const kept = this.kept.get(row.key) || this.makeRow(row);
      this.fill(kept, row);
      if (kept.row === place) place = place.nextSibling;
      else this.tbody.insertBefore(kept.row, place);
    }
    const left = rows.length - shown.length;
    this.more.hidden = left <= 0;
    setText(this.more, left > PAGE_ROWS ? `Show ${PAGE_ROWS} more of ${left}` : `Show ${left} more`);
  }

  sortRows() {
    const column = this.columns.find(({ id }) => id === this.sort);
    const sign = this.isDescending ? -1 : 1;
    return [...this.rows].sort((a, b) => {
      const first = column.value(a);
      const second = column.value(b);
      const isLast = Number(Number.isNaN(first)) - Number(Number.isNaN(second)); // what has no value is at the end
      return isLast || sign * compare(first, second) || compare(a.key, b.key);
    });
  }

  keepOrder() {
    // A new row is the last one, or follows the row that it belongs to.
    const place = ({ key, parent }) => this.order.get(key) ?? (parent ? place(parent) + 0.5 : Infinity);
    return [...this.rows].sort((a, b) => compare(place(a), place(b)));
  }

  makeRow(row) {
    const cells = this.columns.map(({ names }, index) =>
      index === 0 ? element("th", { scope: "row", class: names || "" }) : element("td", { class: names || "" }));
    const kept = { row: element("tr", {}, ...cells), cells };
    this.kept.set(row.key, kept);
    return kept;
  }

  fill({ row: line, cells }, row) {
    setClass(line, row.tone ? `tone-${row.tone}` : "");
    this.columns.forEach((column, index) => {
      const cell = cells[index];
      if (column.draw) {
        column.draw(cell, row);
        return;
      }
      setText(cell, column.text(row));
      const tone = column.tone?.(row);
      setClass(cell, [column.names, tone && `tone-${tone}`].filter(Boolean).join(" "));
      setTitle(cell, column.more?.(row) || "");
    });
  }
}

function compare(first, second) {
  if (typeof first === "string" && typeof second === "string") return first < second ? -1 : first > second ? 1 : 0;
  return first === second ? 0 : first < second ? -1 : 1;
}
