// One variable, large: its four spans of time, its extremes, and what it counts.

import { Chart, SPANS, choice, make } from './chart.js';
import { exact, human, visible } from './format.js';
import { POINTS, PARTS, fetchHistory } from './store.js';

const AGAIN = 10000; // ms after which the longer spans are read again

/** The points of a counter's total, backwards from what it is now. */
function totals(rates, value, step) {
  const out = new Array(rates.length).fill(NaN);
  let at = value;
  for (let i = rates.length - 1; i >= 0 && Number.isFinite(rates[i]); i -= 1) {
    out[i] = at;
    at = Math.max(0, at - rates[i] * step);
  }
  return out;
}

/** Smallest, largest and mean of what is there. */
function extremes(points) {
  let [low, high, sum, n] = [Infinity, -Infinity, 0, 0];
  for (const at of points) {
    if (!Number.isFinite(at)) continue;
    low = Math.min(low, at);
    high = Math.max(high, at);
    sum += at;
    n += 1;
  }
  return n ? { low, high, mean: sum / n } : null;
}

/** The four series of a span for a set of rows, live for the last minute. */
export class Past {
  constructor(store, names) {
    this.store = store;
    this.names = names;
    this.series = null;
    this.read = -Infinity;
  }

  /** Reads the history, if what is known of it is old. */
  async refresh(force = false) {
    const now = performance.now();
    if (!force && now - this.read < AGAIN) return false;
    this.read = now;
    const history = await fetchHistory(this.names);
    if (history) this.series = history.series;
    return history !== null;
  }

  /** The points of one part of a row over a span. */
  points(row, part, span) {
    if (span === 'second') return row.points(part);
    const name = row.kind === 'h' ? `${row.name}.${PARTS[part]}` : row.name;
    const points = this.series?.[name]?.[span];
    return points ? points.map((x) => x ?? NaN) : new Array({ minute: 60, hour: 24, day: 30 }[span]).fill(NaN);
  }
}

export class Detail {
  constructor(store, settings, on) {
    this.store = store;
    this.settings = settings;
    this.on = on;
    this.span = 'second';
    this.dialog = document.getElementById('detail');
    this.dialog.addEventListener('close', () => { this.row = null; on.closed(); });
    this.dialog.addEventListener('keydown', (event) => { if (event.target === this.dialog) this.chart.key(event); });
    this.dialog.addEventListener('click', (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.spans = choice('Span of time', Object.fromEntries(Object.entries(SPANS).map(([k, s]) => [k, s.name])),
      this.span, (span) => { this.span = span; this.draw(); });
    this.mode = choice('Counter as', { rate: 'Rate', total: 'Total' }, 'rate',
      (mode) => on.totals(mode === 'total'));
    this.chart = new Chart('Chart; arrow keys move the crosshair');
    this.stats = make('dl', { class: 'stats' });
    document.getElementById('detail-chart').append(make('div', { class: 'tools' }, this.spans, this.mode), this.chart.element, this.stats);
    this.pin = document.getElementById('detail-pin');
    this.pin.addEventListener('click', () => { on.pin(this.row); this.draw(); });
  }

  open(row) {
    this.row = row;
    this.name = row.name;
    this.past = new Past(this.store, row.kind === 'h' ? PARTS.map((part) => `${row.name}.${part}`) : [row.name]);
    document.getElementById('detail-name').textContent = visible(row.name, 2000);
    document.getElementById('detail-help').textContent = visible(this.store.helps.get(row.variable) ?? '', 1000);
    document.getElementById('detail-json').href = `history?${new URLSearchParams({ name: row.name })}`;
    this.chart.plot.setAttribute('aria-label', `Chart of ${visible(row.name, 80)}; arrow keys move the crosshair`);
    this.mode.hidden = row.kind !== 'c';
    if (!this.dialog.open) this.dialog.showModal();
    // So that arrow keys move the crosshair at once.
    this.dialog.focus();
    this.chart.aim(null);
    this.draw();
    Promise.all([this.past.refresh(true), this.store.seed([row])]).then(() => this.draw());
  }

  tick() {
    if (!this.row) return;
    // After a restart the same name is another row.
    this.row = this.store.named.get(this.name) ?? this.row;
    this.draw();
    if (this.span !== 'second') this.past.refresh().then((read) => read && this.draw());
  }

  lines() {
    const { row, span } = this;
    if (row.kind === 'h') {
      return [3, 2, 1].map((part) => ({
        name: PARTS[part], colour: 'c d b'.split(' ')[3 - part], points: this.past.points(row, part, span),
        to: undefined,
      })).map((line, i, all) => ({ ...line, fill: i === 2, to: i > 0 ? all[i - 1].name : undefined }));
    }
    const points = this.past.points(row, 0, span);
    if (row.counts && this.settings.totals) {
      return [{ name: 'total', colour: 'a', points: totals(points, row.value, SPANS[span].step), fill: true }];
    }
    return [{ name: row.counts ? 'rate' : 'value', colour: row.counts ? 'a' : 'b', points, fill: true }];
  }

  draw() {
    const { row, store, span } = this;
    if (!row || !this.dialog.open) return;
    const rate = row.counts && !this.settings.totals;
    this.mode.pick(this.settings.totals ? 'total' : 'rate');
    const on = this.settings.pinned.has(row.name);
    this.pin.textContent = on ? '★ Pinned' : '☆ Pin';
    this.pin.setAttribute('aria-pressed', String(on));
    const lines = this.lines();
    this.chart.show({
      lines, unit: row.unit, rate, step: SPANS[span].step, end: store.now, marks: store.restarts,
      zero: row.kind !== 'g',
    });
    const now = row.kind === 'h' ? row.value[3] : rate ? row.latest : row.value;
    const of = row.kind === 'h' ? ' p99' : '';
    const all = extremes(lines[0].points);
    const show = (x) => human(x, row.unit, rate);
    const entries = [
      [`Current${of}`, store.rows.has(row.id) ? show(row.kind === 'h' && !row.value[0] ? NaN : now) : 'gone'],
      [`Minimum${of}`, show(all?.low)],
      [`Maximum${of}`, show(all?.high)],
      [`Mean${of}`, show(all?.mean)],
    ];
    if (row.kind === 'h') entries.push(['Records', `${human(row.value[0])} (${human(row.latest, '', true)})`]);
    else entries.push([row.counts ? 'Exact total' : 'Exact value', row.value === null ? '–' : exact(row.value, row.unit)]);
    while (this.stats.children.length < entries.length) this.stats.append(make('div', {}, make('dt'), make('dd')));
    while (this.stats.children.length > entries.length) this.stats.lastChild.remove();
    entries.forEach(([name, value], i) => {
      const [dt, dd] = this.stats.children[i].children;
      if (dt.textContent !== name) dt.textContent = name;
      if (dd.textContent !== value) dd.textContent = value;
    });
    const missing = span !== 'second' && !lines[0].points.some(Number.isFinite);
    document.getElementById('detail-note').textContent = missing
      ? 'Nothing kept for this span yet: history begins when the page is first opened, or with the server where it was asked for.'
      : '';
  }
}
