// A chart of one span of time: axes in the unit, a legend that reads out the crosshair.

import { clock, human, moment, ticks } from './format.js';
import { band, colours, sheet, trace } from './paint.js';

/** The four spans: how many seconds a point covers, and where clock times are written. */
export const SPANS = {
  second: { name: '60 s', long: 'last 60 seconds', step: 1, mark: 15 },
  minute: { name: '60 min', long: 'last 60 minutes', step: 60, mark: 900 },
  hour: { name: '24 h', long: 'last 24 hours', step: 3600, mark: 6 * 3600 },
  day: { name: '30 d', long: 'last 30 days', step: 86400, mark: 7 * 86400 },
};

/** Makes an element; `text` is only ever text. */
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

/** Buttons of which one is on. */
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

export class Chart {
  constructor(label) {
    this.canvas = make('canvas');
    this.legend = make('ul', { class: 'legend' });
    this.plot = make('div', {
      class: 'plot', tabindex: '0', role: 'slider', 'aria-label': label,
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
    }, this.canvas);
    this.element = make('div', { class: 'chart' }, this.legend, this.plot);
    this.cross = null;
    this.data = null;
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.plot);
    this.plot.addEventListener('pointermove', (event) => this.point(event));
    this.plot.addEventListener('pointerdown', (event) => this.point(event));
    this.plot.addEventListener('pointerleave', () => this.aim(null));
    this.plot.addEventListener('blur', () => this.aim(null));
    this.plot.addEventListener('keydown', (event) => this.key(event));
  }

  /**
   * Shows `lines`: `{name, colour, points, fill, to}`, where `fill` shades down to the floor
   * and `to` up to the line of that name; `end` is the Unix time of the last point in ms.
   */
  show(data) {
    this.data = data;
    this.plot.setAttribute('aria-valuemax', String(this.length - 1));
    this.draw();
  }

  get length() {
    return this.data?.lines[0]?.points.length ?? 0;
  }

  time(i) {
    return this.data.end - (this.length - 1 - i) * this.data.step * 1000;
  }

  point(event) {
    if (!this.frame) return;
    const box = this.plot.getBoundingClientRect();
    const share = (event.clientX - box.left - this.frame.left) / this.frame.width;
    this.aim(Math.max(0, Math.min(this.length - 1, Math.round(share * (this.length - 1)))));
  }

  key(event) {
    const last = this.length - 1;
    const at = this.cross ?? last;
    const to = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageDown: at - 10, PageUp: at + 10, Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.aim(Math.max(0, Math.min(last, to)));
  }

  aim(index) {
    if (index === this.cross) return;
    this.cross = index;
    this.draw();
  }

  draw() {
    const { data, plot } = this;
    const width = plot.clientWidth;
    const height = plot.clientHeight;
    if (!data || !width || !height) return;
    const ink = colours();
    const pen = sheet(this.canvas, width, height);
    const lines = data.lines.filter((line) => line.points.some(Number.isFinite));
    this.read(data.lines);

    let low = Infinity;
    let high = -Infinity;
    for (const line of lines) {
      for (const at of line.points) {
        if (!Number.isFinite(at)) continue;
        low = Math.min(low, at);
        high = Math.max(high, at);
      }
    }
    if (low > high) [low, high] = [0, 1];
    // From zero, unless that would leave a small movement of a large value invisible.
    if (data.zero || low < high * 0.75) low = Math.min(low, 0);
    if (high === low) [low, high] = high === 0 ? [0, 1] : [Math.min(0, high * 1.1), Math.max(0, high * 1.1)];
    high += (high - low) * 0.06;
    if (low !== 0) low -= (high - low) * 0.06;

    pen.font = '11px system-ui, sans-serif';
    const rows = ticks(low, high, Math.max(2, Math.floor(height / 44)), data.unit);
    const labels = rows.map((at) => human(at, data.unit, data.rate).replace(/(\.\d*?)0+(?= |%|\/|$)/, '$1').replace(/\.(?= |%|\/|$)/, ''));
    const left = Math.ceil(Math.max(30, ...labels.map((text) => pen.measureText(text).width)) + 10);
    this.frame = { left, width: width - left - 8, top: 6, bottom: height - 20 };
    const { top, bottom } = this.frame;
    const last = Math.max(1, this.length - 1);
    const x = (i) => left + (i / last) * this.frame.width;
    const y = (at) => bottom - ((at - low) / (high - low)) * (bottom - top);

    pen.textBaseline = 'middle';
    pen.textAlign = 'right';
    pen.lineWidth = 1;
    rows.forEach((at, i) => {
      pen.strokeStyle = ink.line;
      pen.beginPath();
      pen.moveTo(left, Math.round(y(at)) + 0.5);
      pen.lineTo(left + this.frame.width, Math.round(y(at)) + 0.5);
      pen.stroke();
      pen.fillStyle = ink.dim;
      pen.fillText(labels[i], left - 8, y(at));
    });
    this.hours(pen, x, bottom, ink);
    this.marks(pen, x, top, bottom, ink);

    pen.lineJoin = 'round';
    pen.lineCap = 'round';
    for (const line of lines) {
      const to = line.to && lines.find((other) => other.name === line.to);
      if (!to && !line.fill) continue;
      pen.fillStyle = ink[line.colour];
      pen.globalAlpha = line.fill ? 0.1 : 0.18;
      band(pen, to ? to.points : line.points, to ? line.points : null, x, y, bottom);
      pen.globalAlpha = 1;
    }
    for (const line of lines) {
      pen.strokeStyle = ink[line.colour];
      pen.lineWidth = line.dashed ? 1.25 : 1.75;
      pen.setLineDash(line.dashed ? [5, 4] : []);
      trace(pen, line.points, x, y);
      pen.setLineDash([]);
    }
    if (this.cross !== null && this.cross < this.length) {
      const at = Math.round(x(this.cross)) + 0.5;
      pen.strokeStyle = ink.dim;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(at, top);
      pen.lineTo(at, bottom);
      pen.stroke();
      for (const line of lines) {
        const value = line.points[this.cross];
        if (!Number.isFinite(value)) continue;
        pen.fillStyle = ink.panel;
        pen.strokeStyle = ink[line.colour];
        pen.lineWidth = 2;
        pen.beginPath();
        pen.arc(at, y(value), 3.5, 0, 7);
        pen.fill();
        pen.stroke();
      }
    }
  }

  /** Clock times under the chart, at round ones. */
  hours(pen, x, bottom, ink) {
    const { step, end, mark } = this.data;
    const span = Object.values(SPANS).find((one) => one.step === step) ?? SPANS.second;
    const narrow = this.frame.width < 360 ? 2 : 1;
    const every = (mark ?? span.mark) * 1000 * narrow;
    const zone = step >= 3600 ? new Date(end).getTimezoneOffset() * 60000 : 0;
    pen.fillStyle = ink.dim;
    pen.textBaseline = 'alphabetic';
    pen.textAlign = 'center';
    const first = this.time(0);
    for (let at = Math.ceil((first - zone) / every) * every + zone; at <= end; at += every) {
      const i = (at - first) / 1000 / step;
      const text = clock(at, mark ? 1 : step);
      const half = pen.measureText(text).width / 2;
      const place = Math.min(x(i), this.frame.left + this.frame.width - half);
      if (place - half >= this.frame.left - 12) pen.fillText(text, place, bottom + 15);
    }
  }

  /** A line where the service began anew. */
  marks(pen, x, top, bottom, ink) {
    const { step, marks = [] } = this.data;
    for (const at of marks) {
      const i = (at - this.time(0)) / 1000 / step;
      if (i < 0 || i > this.length - 1) continue;
      pen.strokeStyle = ink.warn;
      pen.fillStyle = ink.warn;
      pen.setLineDash([2, 3]);
      pen.beginPath();
      pen.moveTo(x(i), top);
      pen.lineTo(x(i), bottom);
      pen.stroke();
      pen.setLineDash([]);
      pen.textAlign = i > this.length / 2 ? 'right' : 'left';
      pen.textBaseline = 'top';
      pen.fillText('restart', x(i) + (i > this.length / 2 ? -4 : 4), top);
    }
  }

  /** Writes the values under the crosshair, or the newest, into the legend. */
  read(lines) {
    const { unit, rate, step } = this.data;
    const at = this.cross === null ? this.length - 1 : Math.min(this.cross, this.length - 1);
    const when = this.cross === null ? 'now' : step >= 3600 ? moment(this.time(at)) : clock(this.time(at), step);
    while (this.legend.children.length > lines.length + 1) this.legend.lastChild.remove();
    while (this.legend.children.length < lines.length + 1) {
      this.legend.append(make('li', {}, make('span', { class: 'key' }), make('span'), make('b')));
    }
    const said = [];
    lines.forEach((line, i) => {
      const [key, name, value] = this.legend.children[i + 1].children;
      if (key.className !== `key key-${line.colour}`) key.className = `key key-${line.colour}`;
      if (name.textContent !== line.name) name.textContent = line.name;
      const text = human(line.points[at], unit, rate);
      if (value.textContent !== text) value.textContent = text;
      said.push(`${line.name} ${text}`);
    });
    const head = this.legend.children[0];
    if (head.textContent !== when) head.textContent = when;
    head.className = this.cross === null ? 'when' : 'when at';
    this.plot.setAttribute('aria-valuenow', String(Math.max(0, at)));
    this.plot.setAttribute('aria-valuetext', `${when}: ${said.join(', ')}`);
  }
}
