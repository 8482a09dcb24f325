// A chart of a time span: axes with units, and a legend with the values at the crosshair, which all
// charts of the page share.

import { clock, human, logTicks, moment, period, ticks } from './format.js';
import { colours, sheet } from './paint.js';
import { band, trace } from './spark.js';

export const SPANS = {
  second: { name: '60 s', step: 1, points: 60 },
  minute: { name: '60 min', step: 60, points: 60 },
  hour: { name: '24 h', step: 3600, points: 24 },
  day: { name: '30 d', step: 86400, points: 30 },
};
const MARKS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800];
const DRAG = 8; // px after which a press is a drag

export function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') element.textContent = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...inside);
  return element;
}

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function choice(label, options, chosen, onchange) {
  const buttons = new Map();
  const group = make('div', { class: 'choice', role: 'group', 'aria-label': label });
  const pick = (value) => {
    for (const [key, button] of buttons) button.setAttribute('aria-pressed', String(key === value));
  };
  for (const [value, name] of Object.entries(options)) {
    const button = make('button', { type: 'button', text: name, onclick: () => { pick(value); onchange(value); } });
    buttons.set(value, button);
    group.append(button);
  }
  pick(chosen);
  group.pick = pick;
  return group;
}

/** The time of the crosshair in Unix ms; `null` without one. */
export const crosshair = {
  time: null,
  charts: new Set(),
  aim(time) {
    if (time === this.time) return;
    this.time = time;
    for (const chart of this.charts) chart.soon();
  },
};

class Scale {
  constructor(lines, { zero, log, unit, rate }, top, bottom) {
    Object.assign(this, { unit, rate, top, bottom, log });
    let low = Infinity;
    let high = -Infinity;
    const take = (at) => {
      if (!Number.isFinite(at) || (log && at <= 0)) return;
      low = Math.min(low, at);
      high = Math.max(high, at);
    };
    for (const line of lines) for (const part of [line.points, line.low, line.high]) part?.forEach(take);
    const empty = low > high;
    if (empty) [low, high] = [log ? 1 : 0, log ? 10 : 1];
    if (log) {
      [low, high] = [low / 1.3, high * 1.3];
    } else {
      // From zero, unless that would hide a small change of a large value.
      if (zero || low < high * 0.75) low = Math.min(low, 0);
      if (high < 0 && (zero || low < high * 1.33)) high = 0;
      if (high === low) [low, high] = high === 0 ? [0, 1] : [Math.min(0, high * 1.1), Math.max(0, high * 1.1)];
      // Half of each, because the difference of two numbers may be infinite.
      const room = (high / 2 - low / 2) * 0.12;
      if (high !== 0) high += room;
      if (low !== 0) low -= room;
    }
    Object.assign(this, { low, high });
    this.rows = empty ? [] : (log ? logTicks : ticks)(low, high, Math.max(2, Math.floor((bottom - top) / 44)), unit);
    // As many digits as needed to distinguish the labels.
    for (let more = 0; more < 6; more += 1) {
      this.labels = this.rows.map((at) => human(at, unit, rate, more).replace(/(\.\d*?)0+(?= |%|\/|$)/, '$1').replace(/\.(?= |%|\/|$)/, ''));
      if (new Set(this.labels).size === this.rows.length) break;
    }
  }

  y(at) {
    const share = this.log
      ? Math.log(Math.max(at, this.low) / this.low) / Math.log(this.high / this.low)
      : (at / 2 - this.low / 2) / (this.high / 2 - this.low / 2);
    return this.bottom - share * (this.bottom - this.top);
  }

  get floor() {
    return this.log ? this.bottom : this.y(Math.max(this.low, Math.min(this.high, 0)));
  }
}

export class Chart {
  /** `onzoom(from, to)` is called after a drag over a time span. */
  constructor(label, onzoom = () => {}) {
    this.onzoom = onzoom;
    this.canvas = make('canvas');
    this.legend = make('ul', { class: 'legend' });
    this.plot = make('div', {
      class: 'plot', tabindex: '0', role: 'slider', 'aria-label': label,
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
    }, this.canvas);
    this.element = make('div', { class: 'chart' }, this.legend, this.plot);
    this.data = null;
    this.drag = null;
    // Reading sizes after a write would force another layout.
    this.size = new ResizeObserver(([{ contentRect: { width, height } }]) => { Object.assign(this, { width, height }); this.draw(); });
    this.size.observe(this.plot);
    this.sight = new IntersectionObserver((seen) => { this.seen = seen.at(-1).isIntersecting; this.draw(); });
    this.sight.observe(this.element);
    crosshair.charts.add(this);
    const on = (name, f) => this.plot.addEventListener(name, f);
    on('pointermove', (event) => this.move(event));
    on('pointerdown', (event) => this.press(event));
    on('pointerup', (event) => this.release(event));
    on('pointercancel', () => { this.drag = null; this.draw(); });
    // A touch keeps its position until the next one.
    on('pointerleave', (event) => { if (event.pointerType === 'mouse' && !this.drag) crosshair.aim(null); });
    on('blur', () => crosshair.aim(null));
    on('keydown', (event) => this.key(event));
  }

  close() {
    crosshair.charts.delete(this);
    this.size.disconnect();
    this.sight.disconnect();
  }

  /**
   * Shows `lines`: `{name, colour, points, low, high, fill, to, unit, rate}`, where `fill` shades
   * down to zero and `to` up to the line of that name; one of another unit has an axis of its own.
   * `start` is the Unix time of the first point in ms.
   */
  show(data) {
    this.data = data;
    this.plot.setAttribute('aria-valuemax', String(Math.max(0, this.length - 1)));
    this.draw();
  }

  get length() {
    return this.data?.lines[0]?.points.length ?? 0;
  }

  time(i) {
    return this.data.start + i * this.data.step * 1000;
  }

  get cross() {
    if (crosshair.time === null || !this.length) return null;
    const i = Math.round((crosshair.time - this.data.start) / this.data.step / 1000);
    return i >= 0 && i < this.length ? i : null;
  }

  at(event) {
    const share = (event.clientX - this.plot.getBoundingClientRect().left - this.frame.left) / this.frame.width;
    return Math.max(0, Math.min(this.length - 1, Math.round(share * (this.length - 1))));
  }

  move(event) {
    if (!this.frame || !this.length) return;
    const i = this.at(event);
    if (this.drag && Math.abs(event.clientX - this.drag.x) > DRAG) {
      this.drag.to = i;
      this.soon();
    }
    crosshair.aim(this.time(i));
  }

  press(event) {
    if (!this.frame || !this.length || event.button) return;
    this.plot.setPointerCapture(event.pointerId);
    const i = this.at(event);
    this.drag = { x: event.clientX, from: i, to: null };
    crosshair.aim(this.time(i));
  }

  release() {
    const { drag } = this;
    this.drag = null;
    if (!drag || drag.to === null || drag.to === drag.from) return this.soon();
    const [from, to] = [drag.from, drag.to].sort((a, b) => a - b);
    this.onzoom(this.time(from), this.time(to));
  }

  key(event) {
    const last = this.length - 1;
    const at = this.cross ?? last;
    const to = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageDown: at - 10, PageUp: at + 10, Home: 0, End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    event.stopPropagation();
    crosshair.aim(this.time(Math.max(0, Math.min(last, to))));
  }

  soon() {
    this.asked ??= requestAnimationFrame(() => { this.asked = null; this.draw(); });
  }

  draw() {
    const { data, width, height } = this;
    if (!data || !width || !height || !this.seen) return;
    const ink = colours();
    const pen = sheet(this.canvas, width, height);
    const known = (points) => points.some(Number.isFinite);
    const lines = data.lines.filter((line) => known(line.points));
    this.read(data.lines);

    pen.font = '11px system-ui, sans-serif';
    const [top, bottom] = [8, height - 20];
    const [first] = data.lines;
    const own = (line) => line.unit !== first.unit || Boolean(line.rate) !== Boolean(first.rate);
    const scaleOf = (some, of) => new Scale(some, { ...data, unit: of.unit, rate: of.rate }, top, bottom);
    const scale = scaleOf(lines.filter((line) => !own(line)), first);
    const other = lines.find(own) && scaleOf(lines.filter(own), lines.find(own));
    const room = (of) => Math.ceil(Math.max(38, ...of.labels.map((text) => pen.measureText(text).width)) + 10);
    const left = room(scale);
    this.frame = { left, width: width - left - (other ? room(other) : 8), top, bottom };
    const right = left + this.frame.width;
    const last = Math.max(1, this.length - 1);
    const x = (i) => left + (i / last) * this.frame.width;
    const y = (line) => (own(line) ? other : scale);

    pen.textBaseline = 'middle';
    pen.lineWidth = 1;
    pen.strokeStyle = ink.line;
    pen.fillStyle = ink.dim;
    const axis = (of, align, place, lined) => of.rows.forEach((at, i) => {
      const level = Math.round(of.y(at)) + 0.5;
      if (lined) this.stroke(pen, left, level, right, level);
      pen.textAlign = align;
      pen.fillText(of.labels[i], place, level);
    });
    axis(scale, 'right', left - 8, true);
    if (other) axis(other, 'left', right + 8, false);
    this.hours(pen, x, bottom, ink);
    this.marks(pen, x, top, bottom, ink);

    pen.lineJoin = 'round';
    pen.lineCap = 'round';
    for (const line of lines) {
      const of = y(line);
      const at = (value) => of.y(value);
      pen.fillStyle = ink[line.colour];
      const to = line.to && lines.find((one) => one.name === line.to);
      if (to || line.fill) {
        pen.globalAlpha = line.fill ? 0.1 : 0.08;
        pen.fill(new Path2D(band(to ? to.points : line.points, to ? line.points : null, x, at, of.floor)));
      }
      if (line.high) {
        pen.globalAlpha = 0.22;
        pen.fill(new Path2D(band(line.high, line.low ?? line.points, x, at)));
      }
      pen.globalAlpha = 1;
    }
    for (const line of lines) {
      const of = y(line);
      pen.strokeStyle = ink[line.colour];
      pen.lineWidth = line.dashed ? 1.25 : 1.75;
      pen.setLineDash(line.dashed ? [5, 4] : []);
      pen.stroke(new Path2D(trace(line.points, x, (value) => of.y(value))));
      pen.setLineDash([]);
      // A point without neighbours is drawn as a dot.
      line.points.forEach((at, i) => {
        if (Number.isFinite(at) && !Number.isFinite(line.points[i - 1]) && !Number.isFinite(line.points[i + 1])) this.dot(pen, x(i), of.y(at), 2, ink[line.colour]);
      });
    }
    this.pointer(pen, lines, x, y, ink);
  }

  dot(pen, x, y, radius, fill, line = fill) {
    pen.fillStyle = fill;
    pen.strokeStyle = line;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
    pen.stroke();
  }

  stroke(pen, x0, y0, x1, y1) {
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }

  pointer(pen, lines, x, y, ink) {
    const { cross, drag } = this;
    const { top, bottom } = this.frame;
    if (drag && drag.to !== null) {
      pen.fillStyle = ink.a;
      pen.globalAlpha = 0.15;
      pen.fillRect(x(drag.from), top, x(drag.to) - x(drag.from), bottom - top);
      pen.globalAlpha = 1;
    }
    if (cross === null) return;
    const at = Math.round(x(cross)) + 0.5;
    pen.strokeStyle = ink.dim;
    pen.lineWidth = 1;
    this.stroke(pen, at, top, at, bottom);
    for (const line of lines) {
      const value = line.points[cross];
      if (!Number.isFinite(value)) continue;
      this.dot(pen, at, y(line).y(value), 3.5, ink.panel, ink[line.colour]);
    }
  }

  hours(pen, x, bottom, ink) {
    const { step } = this.data;
    const [first, end] = [this.time(0), this.time(this.length - 1)];
    const wanted = Math.max(1, Math.floor(this.frame.width / 110));
    const every = (MARKS.find((secs) => secs >= step && (end - first) / 1000 / secs <= wanted) ?? 604800) * 1000;
    // Days are in UTC, hours in the reader's time zone.
    const zone = every >= 10800000 && step < 86400 ? new Date(end).getTimezoneOffset() * 60000 : 0;
    pen.fillStyle = ink.dim;
    pen.textBaseline = 'alphabetic';
    pen.textAlign = 'center';
    for (let at = Math.ceil((first - zone) / every) * every + zone; at <= end; at += every) {
      const text = every >= 86400000 ? clock(at, 86400) : clock(at, every < 60000 ? 1 : 60);
      const half = pen.measureText(text).width / 2;
      const place = Math.min(x((at - first) / 1000 / step), this.frame.left + this.frame.width - half);
      if (place - half >= this.frame.left - 12) pen.fillText(text, place, bottom + 15);
    }
  }

  /** Marks restarts of the service, and gaps. */
  marks(pen, x, top, bottom, ink) {
    const { step, marks = [], faults = 0, lines } = this.data;
    pen.strokeStyle = ink.bad;
    for (let i = this.length - faults; i < this.length; i += 1) {
      if (Number.isNaN(lines[0].points[i])) this.stroke(pen, x(i), top, x(i), bottom);
    }
    for (const at of marks) {
      const i = (at - this.time(0)) / 1000 / step;
      if (i < 0 || i > this.length - 1) continue;
      pen.strokeStyle = ink.warn;
      pen.fillStyle = ink.warn;
      pen.setLineDash([2, 3]);
      this.stroke(pen, x(i), top, x(i), bottom);
      pen.setLineDash([]);
      pen.textAlign = i > this.length / 2 ? 'right' : 'left';
      pen.textBaseline = 'top';
      pen.fillText('restart', x(i) + (i > this.length / 2 ? -4 : 4), top);
    }
  }

  read(lines) {
    const { step, frozen } = this.data;
    const { cross } = this;
    const at = cross ?? this.length - 1;
    const from = this.time(at);
    const when = cross === null && !frozen ? 'now' : step > 1 ? period(from, from + step * 1000, step) : moment(from);
    while (this.legend.children.length > lines.length + 1) this.legend.lastChild.remove();
    while (this.legend.children.length < lines.length + 1) {
      this.legend.append(make('li', {}, make('span', { class: 'key' }), make('span'), make('b'), make('small')));
    }
    const said = [];
    lines.forEach((line, i) => {
      const [key, name, value, note] = this.legend.children[i + 1].children;
      if (key.className !== `key key-${line.colour}`) key.className = `key key-${line.colour}`;
      write(name, line.name);
      const show = (x) => human(x, line.unit, line.rate);
      const [low, high] = [line.low?.[at], line.high?.[at]];
      const text = show(cross === null && !frozen && line.now !== undefined ? line.now : line.points[at]);
      write(value, text);
      const extremes = high > low ? `${show(low)} to ${show(high)}` : '';
      const notes = [line.note?.(line.points[at]), line.low ? extremes : Number.isFinite(high) ? `at most ${show(high)}` : ''].filter(Boolean).join(', ');
      write(note, notes);
      said.push(`${line.name} ${text}${notes ? ` (${notes})` : ''}`);
    });
    const head = this.legend.children[0];
    write(head, when);
    head.className = cross === null ? 'when' : 'when at';
    this.plot.setAttribute('aria-valuenow', String(Math.max(0, at)));
    this.plot.setAttribute('aria-valuetext', `${when}: ${said.join(', ')}`);
  }
}
