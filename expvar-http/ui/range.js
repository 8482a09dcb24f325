// The common time span of all charts, and its history.

import { SPANS } from './chart.js';
import { PARTS, fetchHistory } from './store.js';

const AGAIN = 10000; // ms after which the longer spans are read again
const MOST = 40; // names in one question

export class Range {
  constructor(store) {
    this.store = store;
    this.span = 'second';
    this.zoom = null; // [from, to] in Unix ms
    this.past = { span: null, tick: 0, series: {} };
    this.read = -Infinity;
  }

  set(span, zoom = null) {
    this.span = span;
    this.zoom = zoom;
  }

  get shown() {
    const tick = this.store.tick || Math.floor(Date.now() / 1000);
    const of = (span) => {
      const { step, points } = SPANS[span];
      return { span, step, points, start: (Math.floor(tick / step) - points + 1) * step * 1000 };
    };
    if (!this.zoom) {
      const all = of(this.span);
      return { ...all, first: 0, end: all.points, frozen: false };
    }
    // The finest span that reaches back far enough.
    const [from, to] = this.zoom;
    const all = Object.keys(SPANS).map(of);
    const one = all.find((span) => span.start <= from) ?? all[3];
    const at = (ms) => (ms - one.start) / one.step / 1000;
    const first = Math.max(0, Math.min(one.points - 2, Math.floor(at(from))));
    const end = Math.max(first + 2, Math.min(one.points, Math.ceil(at(to)) + 1));
    return { ...one, start: one.start + first * one.step * 1000, first, end, frozen: true };
  }

  /** Loads missing history of these rows; returns whether it did. */
  async refresh(rows, force = false) {
    const { span } = this.shown;
    const missing = rows.some((row) => !this.asked?.has(row.name));
    if (!rows.length || span === 'second' || this.reading) return false;
    if (!force && !missing && this.past.span === span && performance.now() - this.read < AGAIN) return false;
    this.read = performance.now();
    this.asked = new Set(rows.map((row) => row.name));
    this.reading = true;
    const history = await fetchHistory([...this.asked].slice(0, MOST), span);
    this.reading = false;
    if (!history) return false;
    this.past = { span, tick: history.tick, series: history.series };
    this.kept = history.kept;
    this.of = history.of;
    return true;
  }

  points(row, part) {
    const { span, first, end, step } = this.shown;
    if (span === 'second') {
      const points = row.points(part).subarray(first, end);
      return { points, total: row.climbs ? row.lastMinute(row.climbs).subarray(first, end) : null };
    }
    const series = this.past.span === span && this.past.series[row.kind === 'h' ? `${row.name}.${PARTS[part]}` : row.name];
    const later = Math.floor(this.store.tick / step) - Math.floor(this.past.tick / step);
    const cut = (points) => Array.from({ length: end - first }, (_, i) => points?.[first + i + later] ?? NaN);
    if (!series) return { points: cut(null), missing: this.past.span === span && this.asked.has(row.name) };
    return {
      points: cut(series[span]), low: cut(series.min[span]), high: cut(series.max[span]),
      total: series.total ? cut(series.total[span]) : null,
    };
  }

  /** A counter's increase in the time span: `[total, whether it is exact]`. */
  total(row) {
    const { total } = this.points(row, 0);
    const { span, frozen } = this.shown;
    if (!total) return [NaN, false];
    let sum = 0;
    let exact = true;
    total.forEach((climb) => {
      if (Number.isFinite(climb)) sum += climb;
      if (climb > (span === 'second' ? 1e6 : 134217728)) exact = false;
    });
    if (span !== 'second' && !frozen) {
      // And the points since the history was read.
      const since = Math.min(60, this.store.tick - this.past.tick);
      if (since > 0) for (const climb of row.lastMinute(row.climbs).slice(60 - since)) if (climb > 0) sum += climb;
    }
    return [sum, exact];
  }
}
