// Sparklines and heat strips on canvases, in the colours of the theme.

const FEWEST_COLUMNS = 40; // a chart that has just begun is wider, so that it is seen
// Where the colour of a latency changes, in seconds: quick, noticeable, slow, very slow.
const LATENCY_STEPS = [[0.1, "--heat-1"], [0.5, "--heat-2"], [2, "--heat-3"], [Infinity, "--heat-4"]];
let colours = null;

function readColour(name) {
  colours ??= getComputedStyle(document.documentElement);
  return colours.getPropertyValue(name).trim();
}

/** Return the context of a canvas that has the size of its box, cleared; null while the box has none. */
function prepare(canvas) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return null;
  const scale = window.devicePixelRatio || 1;
  const [pixels, lines] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== pixels || canvas.height !== lines) Object.assign(canvas, { width: pixels, height: lines });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Return the canvas in a cell, which is made at the first call. */
function getCanvas(cell, names, label) {
  let canvas = cell.firstElementChild;
  if (canvas?.tagName !== "CANVAS") {
    canvas = element("canvas", { class: names, role: "img" });
    cell.replaceChildren(canvas);
  }
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
  return canvas;
}

/** Draw numbers as a line whose last point is at the right edge; a gap is where there is no number. */
function drawSparkline(canvas, points, { colour = "--accent", from = 0 } = {}) {
  const area = prepare(canvas);
  if (!area) return;
  const { context, width, height } = area;
  const numbers = points.filter(isNumber);
  if (!numbers.length) return;
  const low = Math.min(from ?? Infinity, ...numbers);
  const high = Math.max(...numbers);
  const span = high - low || Math.abs(high) || 1;
  const step = width / (countColumns(points) - 1);
  const y = (number) => height - 1.5 - ((number - low) / span) * (height - 4);
  const runs = findRuns(points);
  const x = (index) => width - 1 - (points.length - 1 - index) * step;
  context.strokeStyle = context.fillStyle = readColour(colour);
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  for (const [start, end] of runs) {
    context.beginPath();
    context.moveTo(x(start), y(points[start]));
    if (start === end) context.lineTo(x(start) + 1, y(points[start]));
    for (let index = start + 1; index <= end; index++) context.lineTo(x(index), y(points[index]));
    context.stroke();
    context.lineTo(x(end), height);
    context.lineTo(x(start), height);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
  }
}

function countColumns(points) {
  return Math.max(FEWEST_COLUMNS, Math.min(TRACK_POINTS, points.length));
}

function findRuns(points) {
  const runs = [];
  points.forEach((point, index) => {
    if (!isNumber(point)) return;
    if (runs.length && runs.at(-1)[1] === index - 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  });
  return runs;
}

/**
 * Draw latencies over time: a column for each text, fast at the bottom, dense where there are many, and a red mark at
 * the upper edge where there were errors. A point is `{parts: [[bound, count]], errors}` or null. All strips with the
 * same `bounds` have the same scale.
 */
function drawHeat(canvas, points, bounds) {
  const area = prepare(canvas);
  if (!area) return;
  const { context, width, height } = area;
  const edge = 4;
  if (!bounds.length || !points.some(Boolean)) return;
  const rows = new Map(bounds.map((bound, index) => [bound, index]));
  const most = Math.max(1, ...points.flatMap((point) => (point ? point.parts.map(([, count]) => count) : [])));
  const cell = (height - edge - 1) / bounds.length;
  const shift = width / countColumns(points);
  points.forEach((point, index) => {
    const x = width - (points.length - index) * shift;
    if (!point) return;
    for (const [bound, count] of point.parts) {
      if (!(count > 0)) continue;
      context.globalAlpha = 0.3 + 0.7 * Math.sqrt(count / most);
      context.fillStyle = readColour(LATENCY_STEPS.find(([end]) => bound <= end)[1]);
      context.fillRect(x, height - (rows.get(bound) + 1) * cell, shift, Math.max(cell, 2));
    }
    if (point.errors > 0) {
      context.globalAlpha = 1;
      context.fillStyle = readColour("--bad");
      context.fillRect(x, 0, Math.max(shift, 2), edge - 1);
    }
  });
  context.globalAlpha = 1;
}
