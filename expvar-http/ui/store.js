// The page's data: each variable's value and its last minute, updated by the event stream.

export const POINTS = 60;
/** Histograms keep four series; the first is the count. */
export const PARTS = ['count', 'p50', 'p90', 'p99'];

class Row {
  constructor([id, name, top, kind, unit, value, help = '', moved = 0]) {
    Object.assign(this, { id, name, top, kind, unit, help });
    this.everMoved = moved === 1; // whether it was ever anything but zero
    this.set(value);
    this.before = undefined;
    this.moved = 0; // when the value last changed, in ticks of the store
    this.seeded = false;
    const series = kind === 'h' ? PARTS.length : kind === 'c' || kind === 'g' ? 1 : 0;
    // A point for each second, at its tick modulo POINTS.
    this.rings = Array.from({ length: series }, () => new Float64Array(POINTS).fill(NaN));
    this.climbs = kind === 'c' ? new Float64Array(POINTS).fill(NaN) : null; // how much it went up
    this.tick = 0; // of the newest point
    this.version = 0; // of what a drawing of the row would show
    const inner = top > 0;
    const dot = inner ? top : name.lastIndexOf('.');
    this.group = dot > 0 ? name.slice(0, dot) : '';
    this.leaf = dot > 0 ? name.slice(dot + 1) : name;
  }

  get variable() {
    return this.top > 0 ? this.name.slice(0, this.top) : this.name;
  }

  get numeric() {
    return this.kind === 'c' || this.kind === 'g' || this.kind === 'h';
  }

  /** Sets the value; integers above 2⁵³ are strings. */
  set(value) {
    const large = typeof value === 'string' && this.numeric;
    this.whole = large ? value : undefined;
    this.value = large ? Number(value) : value;
    if (this.numeric && (this.kind === 'h' ? value[0] : this.value) !== 0) this.everMoved = true;
  }

  get idle() {
    return this.numeric && !this.everMoved;
  }

  get counts() {
    return this.kind === 'c';
  }

  get latest() {
    return this.rings.length ? this.rings[0][this.tick % POINTS] : NaN;
  }

  points(part) {
    return this.lastMinute(this.rings[part]);
  }

  lastMinute(ring) {
    const oldest = (this.tick + 1) % POINTS;
    const points = new Float64Array(POINTS);
    points.set(ring.subarray(oldest));
    points.set(ring.subarray(0, oldest), POINTS - oldest);
    return points;
  }

  /** Adds the value as the point of a tick, `steps` after the previous one. */
  push(tick, steps, seconds) {
    this.tick = tick;
    for (let missed = Math.min(steps, POINTS) - 1; missed > 0; missed -= 1) {
      for (const ring of this.rings) ring[(tick - missed) % POINTS] = NaN;
      if (this.climbs) this.climbs[(tick - missed) % POINTS] = NaN;
    }
    const now = this.kind === 'h' ? this.value : [this.value];
    for (let i = 0; i < this.rings.length; i += 1) {
      let x = now[i] ?? NaN;
      if (this.kind === 'c' || (this.kind === 'h' && i === 0)) {
        const last = this.before === undefined ? NaN : (this.kind === 'h' ? this.before[0] : this.before);
        // A count that fell was reset, so its increase is unknown.
        const climb = x >= last && seconds > 0 ? x - last : NaN;
        if (this.climbs) this.climbs[tick % POINTS] = climb;
        x = climb / seconds;
      } else if (this.kind === 'h' && this.value[0] === 0) {
        x = NaN;
      }
      this.rings[i][tick % POINTS] = x;
    }
    this.before = this.value;
  }

  /** How much the last minute moved, between 0 and 1: the key of "sort by change". */
  get movement() {
    if (!this.rings.length) return this.moved ? 0.001 : 0;
    const ring = this.rings[this.kind === 'h' ? 2 : 0];
    let low = Infinity;
    let high = -Infinity;
    for (const x of ring) {
      if (x < low) low = x;
      if (x > high) high = x;
    }
    return high > low ? (high - low) / Math.max(Math.abs(low), Math.abs(high)) : 0;
  }
}

/** Holds the rows; tells `onrows` when some came or went, `ontick` each second. */
export class Store {
  constructor() {
    this.rows = new Map(); // by id
    this.named = new Map();
    this.tick = 0; // seconds since 1970, as the service counts them
    this.now = 0;
    this.start = null;
    this.began = 0;
    this.restarts = [];
    this.onrows = () => {};
    this.ontick = () => {};
    this.onrestart = () => {};
  }

  take(message) {
    const fresh = message.rows !== undefined;
    if (fresh) this.reset(message);
    const { tick } = message;
    const steps = this.tick ? tick - this.tick : 1;
    const seconds = this.now ? (message.now - this.now) / 1000 : 0;
    let listed = fresh;
    this.last = null;
    this.hidden = message.hidden ?? this.hidden;
    for (const id of message.gone ?? []) {
      const row = this.rows.get(id);
      if (row) {
        this.rows.delete(id);
        if (this.named.get(row.name) === row) this.named.delete(row.name);
        listed = true;
      }
    }
    for (const row of message.add ?? []) {
      this.add(row);
      listed = true;
    }
    const set = message.set ?? [];
    for (let i = 0; i < set.length; i += 2) {
      const row = this.rows.get(set[i]);
      if (row) {
        const { idle } = row;
        row.set(set[i + 1]);
        // It is no longer always zero.
        if (idle !== row.idle) listed = true;
        row.moved = tick;
        row.version += 1;
      }
    }
    if (steps > 0) {
      for (const row of this.rows.values()) {
        if (!row.rings.length) continue;
        row.push(tick, steps, seconds);
        // After a minute without change the line is flat and need not be redrawn.
        if (tick - row.moved <= POINTS + 1) row.version += 1;
      }
      this.tick = tick;
      this.now = message.now;
    }
    if (listed) this.onrows();
    this.ontick();
  }

  reset(message) {
    const again = this.start !== null && this.start !== message.start;
    if (again) this.restarts.push(message.now);
    const old = this.named;
    this.rows = new Map();
    this.named = new Map();
    for (const fields of message.rows) {
      const row = this.add(fields);
      const was = old.get(row.name);
      if (was && was.kind === row.kind) {
        row.rings = was.rings;
        row.climbs = was.climbs;
        row.everMoved ||= was.everMoved && !again;
        row.before = again ? undefined : was.before;
      }
      row.moved = message.tick;
    }
    this.start = message.start;
    this.began = message.began;
    this.title = message.title;
    if (again) this.onrestart();
  }

  /** Whether the service has heap profiles. */
  get sampled() {
    return [...this.named.keys()].some((name) => /^heap\.top(\.|$)/.test(name));
  }

  add(fields) {
    const row = new Row(fields);
    row.tick = this.tick;
    // A map's help comes with its first key.
    const before = this.last;
    if (fields[6] === undefined && before?.variable === row.variable) row.help = before.help;
    this.last = row;
    this.rows.set(row.id, row);
    this.named.set(row.name, row);
    return row;
  }

  /** Loads the part of `rows`' last minute before the page was opened. */
  async seed(rows) {
    const wanted = rows.filter((row) => row.numeric && !row.seeded).slice(0, 40);
    if (!wanted.length) return wanted;
    for (const row of wanted) row.seeded = true;
    const history = await fetchHistory(wanted.map((row) => row.name), 'second');
    if (!history) return [];
    const late = this.tick - history.tick;
    for (const row of wanted) {
      row.rings.forEach((ring, i) => {
        const points = history.series[row.kind === 'h' ? `${row.name}.${PARTS[i]}` : row.name]?.second;
        if (!points) return;
        for (let i = Math.max(0, late); i < Math.min(POINTS, POINTS + late); i += 1) {
          const at = (history.tick + 1 + i) % POINTS;
          if (Number.isNaN(ring[at]) && typeof points[i] === 'number') {
            ring[at] = points[i];
            if (row.climbs) row.climbs[at] = history.series[row.name].total.second[i];
          }
        }
      });
      row.version += 1;
    }
    return wanted;
  }
}

/** The history of some variables as `{now, series}`, or null where none is to be had. */
export async function fetchHistory(names, span) {
  const query = new URLSearchParams(span ? { span } : {});
  let room = 6000;
  for (const name of names) {
    room -= encodeURIComponent(name).length;
    if (room > 0) query.append('name', name);
  }
  if (!query.has('name')) return null;
  try {
    const answer = await fetch(`history?${query}`, { headers: { accept: 'application/json' } });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** The whole value of a text or JSON row, read from the service's document. */
export async function fetchWhole(row) {
  const top = row.variable;
  const head = [...top].slice(0, 90); // an expression may have 1,024 bytes
  const literal = head.map((c) => (/[A-Za-z0-9_]/.test(c) ? c : `\\x{${c.codePointAt(0).toString(16)}}`)).join('');
  const answer = await fetch(`../vars?r=${encodeURIComponent(`^${literal}`)}`);
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  let value = (await answer.json())[top];
  let rest = row.top > 0 ? row.name.slice(row.top + 1) : '';
  // Keys may contain dots: the longest match is the right one.
  while (rest && value !== null && typeof value === 'object') {
    const fits = Object.keys(value).filter((key) => rest === key || rest.startsWith(`${key}.`));
    const key = fits.reduce((a, b) => (b.length > a.length ? b : a), fits[0]);
    if (key === undefined) break;
    value = value[key];
    rest = rest.slice(key.length + 1);
  }
  return value;
}
