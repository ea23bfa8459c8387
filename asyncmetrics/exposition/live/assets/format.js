// Numbers and times as people read them.

const NOTHING = "–";

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Three significant digits, and thousands in groups: 0.00123, 12.3, 1,234. */
function formatNumber(value) {
  if (typeof value !== "number" || Number.isNaN(value)) return NOTHING;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size === 0) return "0";
  const sign = value < 0 ? "−" : "";
  if (size >= 1e15 || size < 1e-4) return sign + size.toExponential(2).replace("-", "−");
  if (size >= 1e9) return `${sign}${trimDigits(size / 1e9)} G`;
  if (size >= 1e6) return `${sign}${trimDigits(size / 1e6)} M`;
  if (size >= 1000) return sign + Math.round(size).toLocaleString("en-US");
  return sign + trimDigits(size);
}

function trimDigits(size) {
  return String(Number(size.toPrecision(3)));
}

function formatRate(perSecond) {
  if (!isNumber(perSecond)) return NOTHING;
  if (perSecond === 0) return "0";
  if (perSecond < 0.1) return `${trimDigits(perSecond * 60)}/min`;
  return perSecond >= 100 ? formatNumber(Math.round(perSecond)) : perSecond.toFixed(1);
}

function formatShare(share) {
  if (!isNumber(share)) return NOTHING;
  const percent = share * 100;
  if (percent === 0) return "0 %";
  return `${percent >= 10 ? Math.round(percent) : percent >= 0.1 ? percent.toFixed(1) : "< 0.1"} %`;
}

/** From microseconds to days; the sign stays. */
function formatSeconds(seconds) {
  if (typeof seconds !== "number" || Number.isNaN(seconds)) return NOTHING;
  if (!Number.isFinite(seconds)) return formatNumber(seconds);
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size === 0) return "0 s";
  if (size < 0.00095) return `${sign}${trimDigits(Math.max(1, Math.round(size * 1e6)))} µs`;
  if (size < 0.00995) return `${sign}${(size * 1000).toFixed(1)} ms`;
  if (size < 0.9995) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 9.995) return `${sign}${size.toFixed(2)} s`;
  if (size < 99.5) return `${sign}${size.toFixed(0)} s`;
  if (size < 5400) return `${sign}${(size / 60).toFixed(size < 600 ? 1 : 0)} min`;
  if (size < 172800) return `${sign}${(size / 3600).toFixed(1)} h`;
  return `${sign}${(size / 86400).toFixed(size < 864000 ? 1 : 0)} d`;
}

function formatBytes(bytes) {
  if (!isNumber(bytes)) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let size = Math.abs(bytes);
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${bytes < 0 ? "−" : ""}${unit === 0 ? Math.round(size) : trimDigits(size)} ${units[unit]}`;
}
