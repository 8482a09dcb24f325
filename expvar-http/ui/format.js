// Number formatting: with units, three or four digits, and a constant width.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SECONDS = { nanoseconds: 1e-9, microseconds: 1e-6, milliseconds: 1e-3, seconds: 1 };

const RAISED = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };

function power(x) {
  const [front, exponent] = x.toExponential(2).split('e');
  return `${+front} × 10${[...exponent.replace('+', '')].map((c) => RAISED[c]).join('')}`;
}

/** At most three digits after the point and about four in all: 0.0123, 1.23, 12.3, 123. */
function digits(x, more = 0) {
  const size = Math.abs(x);
  if (size === 0) return '0';
  if (size < 0.001 || size >= 1e5) return power(x);
  if (size < 1) return String(+x.toPrecision(3 + more));
  return x.toFixed((size < 10 ? 2 : size < 100 ? 1 : 0) + more);
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

function bytes(x, more) {
  const [size, name] = scaled(x, 1024, BINARY);
  if (Math.abs(size) >= 1e5) return `${power(x)} B`;
  return `${name === 'B' && Number.isInteger(size) ? size : digits(size, more)} ${name}`;
}

function count(x, more) {
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return GROUPED.format(x);
  if (Math.abs(x) < 1e3) return digits(x, more);
  if (Math.abs(x) < 1e6) return GROUPED.format(x);
  const [size, name] = scaled(x, 1000, DECIMAL);
  return Math.abs(size) >= 1e3 ? power(x) : `${digits(size, more)} ${name}`;
}

export function duration(seconds, more = 0) {
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  if (size < 0.9995e-6) return `${digits(seconds * 1e9, more)} ns`;
  if (size < 0.9995e-3) return `${digits(seconds * 1e6, more)} µs`;
  if (size < 0.9995) return `${digits(seconds * 1e3, more)} ms`;
  if (size < 60) return `${Number.isInteger(seconds) ? seconds : digits(seconds, more)} s`;
  const whole = Math.floor(size);
  const year = 31557600;
  if (size >= 1e4 * year) return `${count(seconds / year)} years`;
  const parts = [
    [Math.floor(whole / year), 'y'],
    [Math.floor(whole % year / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const text = parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(' ');
  return seconds < 0 ? `−${text}` : text;
}

/** One value in its unit; `rate` for a rate per second; `more` digits than usual. */
export function human(x, unit = '', rate = false, more = 0) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  const per = rate ? '/s' : '';
  if (unit === 'bytes') return bytes(x, more) + per;
  if (unit === 'ratio') return `${digits(x * 100, more)} %${per}`;
  if (unit === 'percent') return `${digits(x, more)} %${per}`;
  if (unit === 'unix') return rate ? `${count(x)}/s` : moment(x * 1000);
  // Seconds per second are a ratio: of a core, of a thread.
  const secs = x * SECONDS[unit];
  // No duration is 31 years: that is a point in time.
  if (!rate && secs >= 1e9 && secs < 4e9) return moment(secs * 1000);
  if (unit in SECONDS) return rate ? `${digits(secs * 100, more)} %` : duration(secs, more);
  return `${count(x, more)}${unit ? ` ${unit}` : ''}${per}`;
}

export function plural(n, thing) {
  return `${human(n)} ${thing}${n === 1 ? '' : 's'}`;
}

/** All digits of a value; integers above 2⁵³ are strings. */
export function exact(x, unit = '') {
  if (typeof x === 'string') return `${x.replace(/\B(?=(\d{3})+$)/g, ',')} ${unit}`.trim();
  if (!Number.isSafeInteger(x)) return Number.isInteger(x) ? power(x) : `${x} ${unit}`.trim();
  return `${GROUPED.format(x)}${unit && unit !== 'unix' ? ` ${unit}` : ''}`;
}

export function ticks(low, high, wanted, unit = '') {
  const span = high - low;
  if (!(span > 0)) return [low];
  let step;
  if (unit === 'bytes') {
    step = 2 ** Math.max(0, Math.ceil(Math.log2(span / wanted)));
  } else {
    const power = 10 ** Math.floor(Math.log10(span / wanted));
    step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => span / s <= wanted) ?? 10 * power;
  }
  const out = [];
  // Adding zero turns −0 into 0.
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i += 1) out.push(i * step + 0);
  return out;
}

/** Steps for a logarithmic axis: powers of ten or, for bytes, of four. */
export function logTicks(low, high, wanted, unit = '') {
  const base = unit === 'bytes' ? 4 : 10;
  const log = (x) => Math.log(x) / Math.log(base);
  const powers = log(high) - log(low);
  if (powers < 1.2 && base === 10) return ticks(low, high, wanted * 2, unit).filter((at) => at > 0);
  const every = Math.max(1, Math.ceil(powers / wanted));
  const out = [];
  for (let i = Math.floor(log(low) / every) * every; i <= log(high) + 1e-9; i += every) {
    const at = base === 10 ? Number(`1e${i}`) : base ** i;
    out.push(at);
    if (powers < wanted / 2 && base === 10) out.push(3 * at);
  }
  return out.filter((at) => at >= low * 0.999 && at <= high * 1.001);
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const SHORT = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export function clock(ms, step = 1) {
  if (step >= 86400) return DAY.format(ms);
  return (step >= 60 ? SHORT : CLOCK).format(ms);
}

const YEAR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export function moment(ms, step = 1) {
  const day = new Date(ms).getFullYear() === new Date().getFullYear() ? DAY : YEAR;
  return step >= 86400 ? day.format(ms) : `${day.format(ms)} ${clock(ms, step)}`;
}

export function period(from, to, step) {
  const same = DAY.format(from) === DAY.format(to);
  return `${moment(from, step)} – ${same ? clock(to, step) : moment(to, step)}`;
}

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;
// Joiners are part of Persian, Indian scripts and composed emoji.
const JOINED = /(?:[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}]|\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)$/u;

/**
 * Text with what cannot be seen, or would turn its neighbours around, spelled out;
 * line ends and tabs stay where `lines` says so.
 */
export function visible(text, limit = Infinity, lines = false) {
  const cut = text.length > limit ? `${text.slice(0, limit).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return cut.replace(UNSEEN, (c, at) => {
    if (lines && (c === '\n' || c === '\t')) return c;
    if ((c === '\u200c' || c === '\u200d') && JOINED.test(cut.slice(Math.max(0, at - 2), at))) return c;
    return `⟨${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });
}
