// The charts in the list: one or two variables over the common time span.

import { Chart, make, write } from './chart.js';
import { exact, human, visible } from './format.js';
import { PARTS } from './store.js';


export function extremes({ points, low = points, high = points }) {
  let [least, most, sum, n] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < points.length; i += 1) {
    if (!Number.isFinite(points[i])) continue;
    if (low[i] < least) least = low[i];
    if (high[i] > most) most = high[i];
    n += 1;
    sum += (points[i] - sum) / n;
  }
  return n ? { low: least, high: most, mean: sum } : null;
}

function totals({ points, total }, value) {
  const out = new Array(points.length).fill(NaN);
  let at = value;
  for (let i = points.length - 1; i >= 0 && Number.isFinite(points[i]); i -= 1) {
    out[i] = at;
    at = Math.max(0, at - (Number.isFinite(total?.[i]) ? total[i] : points[i]));
  }
  return out;
}

export class Panel {
  /** `page` has `store`, `range`, `settings`, `zoom(from, to)`, `close(name)` and `compare(name, other)`. */
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.other = null;
    this.help = make('p', { class: 'help' });
    this.link = make('a', { href: 'history', text: 'JSON' });
    this.compare = make('button', { type: 'button', onclick: () => page.compare(name, this.other ? null : undefined) });
    const close = make('button', { type: 'button', class: 'icon', 'aria-label': 'Close the chart', text: '✕', onclick: () => page.close(name) });
    this.chart = new Chart(`Chart of ${visible(name, 80)}; arrow keys move the crosshair, drag to zoom`, page.zoom);
    this.stats = make('dl', { class: 'stats' });
    this.note = make('p', { class: 'help', role: 'status' });
    this.element = make('div', { class: 'row panel', role: 'row' }, make('div', { role: 'gridcell' },
      make('div', { class: 'tools' }, this.help, this.compare, this.link, close), this.chart.element, this.stats, this.note));
  }

  close() {
    this.chart.close();
  }

  get row() {
    // After a restart, the same name is another row.
    return this.known = this.page.store.named.get(this.name) ?? this.known;
  }

  get second() {
    return this.other && this.page.store.named.get(this.other);
  }

  get rows() {
    return [this.row, this.second].filter((row) => row?.numeric);
  }

  lines(row, at, named) {
    const { range, settings } = this.page;
    const { unit } = row;
    const name = (part) => (named ? `${visible(row.name, 60)}${part && ` ${part}`}` : part);
    if (row.kind === 'h') {
      if (at > 0) return [{ name: name('p99'), colour: 'd', unit, now: row.value[3], points: range.points(row, 3).points }];
      return [3, 2, 1].map((part, i) => {
        const { points, high } = range.points(row, part);
        return {
          name: name(PARTS[part]), colour: 'cdb'[i], unit, points, now: row.value[0] ? row.value[part] : NaN,
          // The highest p99 of each point; the means of other series.
          high: part === 3 ? high : undefined, to: i ? name(PARTS[part + 1]) : undefined,
        };
      });
    }
    const of = range.points(row, 0);
    if (row.counts && settings.totals) {
      return [{ name: name('total'), colour: at ? 'd' : 'a', unit, now: row.value, points: totals(of, row.value), fill: !at }];
    }
    const word = row.counts ? 'rate' : 'value';
    return [{
      name: named ? name('') : word, colour: at ? 'd' : row.counts ? 'a' : 'b', unit, rate: row.counts,
      now: row.counts ? row.latest : row.value, points: of.points, low: of.low, high: of.high, fill: !at,
    }];
  }

  draw() {
    const { row, second, page } = this;
    if (!row?.numeric || !this.element.isConnected) return;
    const { range, store } = page;
    const { start, step, frozen } = range.shown;
    const lines = [...this.lines(row, 0, Boolean(second)), ...(second?.numeric ? this.lines(second, 1, true) : [])];
    this.chart.show({
      lines, start, step, frozen, unit: row.unit, marks: store.restarts,
      zero: row.kind !== 'g', log: row.kind === 'h',
    });
    const quantiles = row.kind === 'h' ? 'p50, p90 and p99 of the last minute.' : '';
    write(this.help, [visible(row.help, 1000), quantiles].filter(Boolean).join(' '));
    if (this.help.title !== this.help.textContent) this.help.title = this.help.textContent;
    write(this.compare, this.other ? `Without ${visible(this.other.slice(this.other.lastIndexOf('.') + 1), 24)}` : 'Compare');
    const link = `history?${new URLSearchParams({ name: row.name })}`;
    if (this.link.getAttribute('href') !== link) this.link.setAttribute('href', link);
    this.count(row, lines[0]);
    const missing = range.points(row, 0).missing;
    const kept = range.of > range.kept ? ` The past of ${human(range.kept)} of ${human(range.of)} series is kept, variables before keys of large maps.` : '';
    write(this.note, missing ? kept ? `Not kept for this one.${kept}` : 'No values of this time yet.' : '');
  }

  count(row, line) {
    const { range, settings, store } = this.page;
    const rate = row.counts && !settings.totals;
    const all = extremes(line);
    const show = (x) => human(x, row.unit, rate);
    const of = row.kind === 'h' ? ' p99' : '';
    const now = !store.rows.has(row.id) ? 'gone' : show(row.kind === 'h' && !row.value[0] ? NaN : row.kind === 'h' ? row.value[3] : rate ? row.latest : row.value);
    const entries = [[`Now${of}`, now]];
    if (row.kind !== 'h') entries.push(['Minimum', show(all?.low)]);
    entries.push([row.kind === 'h' ? 'Highest p99' : 'Maximum', show(all?.high)]);
    if (row.kind === 'h') {
      entries.push(['Records', `${exact(row.value[0])} (${human(row.latest, '', true)})`]);
    } else {
      entries.push(['Mean', show(all?.mean)]);
      if (row.counts) {
        const [sum, whole] = range.total(row);
        entries.push(['Total of this time', Number.isFinite(sum) ? `${whole || !sum ? '' : '≈ '}${Number.isInteger(sum) ? exact(sum, row.unit) : human(sum, row.unit)}` : '–']);
      }
      entries.push([row.counts ? 'Total ever' : 'Exact value', row.value === null ? '–' : exact(row.whole ?? row.value, row.unit)]);
    }
    while (this.stats.children.length < entries.length) this.stats.append(make('div', {}, make('dt'), make('dd')));
    while (this.stats.children.length > entries.length) this.stats.lastChild.remove();
    entries.forEach(([name, value], i) => {
      const [dt, dd] = this.stats.children[i].children;
      write(dt, name);
      write(dd, value);
    });
  }
}
