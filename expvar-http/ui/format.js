// Numbers as people read them: by unit, three or four digits, the same width from second to second.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SECONDS = { nanoseconds: 1e-9, microseconds: 1e-6, milliseconds: 1e-3, seconds: 1 };

/** At most three digits after the point and about four in all: 0.0123, 1.23, 12.3, 123. */
function digits(x) {
  const size = Math.abs(x);
  if (size === 0) return '0';
  if (size < 0.001) return x.toExponential(1);
  if (size < 1) return String(+x.toPrecision(3));
  if (size < 10) return x.toFixed(2);
  if (size < 100) return x.toFixed(1);
  return x.toFixed(0);
}

function scaled(x, base, names) {
  let power = 0;
  // 999.5 would print as 1000 of the smaller unit.
  while (Math.abs(x) >= base * 0.9995 && power < names.length - 1) {
    x /= base;
    power += 1;
  }
  return [x, names[power]];
}

function bytes(x) {
  const [size, name] = scaled(x, 1024, BINARY);
  return `${name === 'B' && Number.isInteger(size) ? size : digits(size)} ${name}`;
}

function count(x) {
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return GROUPED.format(x);
  if (Math.abs(x) < 1e3) return digits(x);
  if (Math.abs(x) < 1e6) return GROUPED.format(x);
  const [size, name] = scaled(x, 1000, DECIMAL);
  return Math.abs(size) >= 1e4 ? x.toExponential(3) : `${digits(size)} ${name}`;
}

/** A length of time given in seconds. */
export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  if (size < 0.9995e-6) return `${digits(seconds * 1e9)} ns`;
  if (size < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (size < 0.9995) return `${digits(seconds * 1e3)} ms`;
  if (size < 60) return `${Number.isInteger(seconds) ? seconds : digits(seconds)} s`;
  const whole = Math.floor(size);
  const parts = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const text = parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(' ');
  return seconds < 0 ? `−${text}` : text;
}

/** One value in its unit; `rate` says that it is one of something a second. */
export function human(x, unit = '', rate = false) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  const per = rate ? '/s' : '';
  if (unit === 'bytes') return bytes(x) + per;
  if (unit === 'ratio') return `${digits(x * 100)} %${per}`;
  if (unit === 'percent') return `${digits(x)} %${per}`;
  if (unit === 'unix') return rate ? `${count(x)}/s` : moment(x * 1000);
  // Time spent for each second that passes is a share: of a core, of a thread.
  if (unit in SECONDS) return rate ? `${digits(x * SECONDS[unit] * 100)} %` : duration(x * SECONDS[unit]);
  return `${count(x)}${unit ? ` ${unit}` : ''}${per}`;
}

/** All digits of a value, for where there is room. */
export function exact(x, unit = '') {
  if (!Number.isSafeInteger(x)) return Number.isInteger(x) ? `about ${x}` : `${x} ${unit}`.trim();
  return `${GROUPED.format(x)}${unit && unit !== 'unix' ? ` ${unit}` : ''}`;
}

/** Steps for an axis from `low` to `high`: about `wanted` of them, at round values of the unit. */
export function ticks(low, high, wanted, unit = '') {
  const span = high - low;
  if (!(span > 0)) return [low];
  let step;
  if (unit === 'bytes' && span > 4) {
    step = 2 ** Math.ceil(Math.log2(span / wanted));
  } else {
    const power = 10 ** Math.floor(Math.log10(span / wanted));
    step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => span / s <= wanted) ?? 10 * power;
  }
  const out = [];
  // Adding zero makes 0 of −0, which would be written with its sign.
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i += 1) out.push(i * step + 0);
  return out;
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const SHORT = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** The time of day of a Unix time in milliseconds, as fine as `step` seconds asks for. */
export function clock(ms, step = 1) {
  if (step >= 86400) return DAY.format(ms);
  return (step >= 60 ? SHORT : CLOCK).format(ms);
}

/** A day and a time of day. */
export function moment(ms) {
  return `${DAY.format(ms)} ${CLOCK.format(ms)}`;
}

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/**
 * Text with what cannot be seen, or would turn its neighbours around, spelled out;
 * line ends and tabs stay where `lines` says so.
 */
export function visible(text, limit = Infinity, lines = false) {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.replace(UNSEEN, (c) => (
    lines && (c === '\n' || c === '\t') ? c : `⟨${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`));
}
