// A heap profile as a flame graph, callers above callees, and by function.

import { choice, make, write } from './chart.js';
import { human, plural, visible } from './format.js';

const ROW = 21; // px
const LEAST = 8; // px; what is narrower is left out, and is in the table
const SHOWN = 20; // functions in the table

const empty = (name, up) => ({ name, up, now: 0, was: 0, below: new Map() });

export class Flame {
  constructor(box) {
    this.was = null;
    this.mode = choice('Show', { live: 'Live bytes', difference: 'Difference' }, 'live', (mode) => this.compare(mode));
    this.again = make('button', { type: 'button', text: 'Read again', onclick: () => this.read() });
    this.search = make('input', { type: 'search', placeholder: 'Find a function', 'aria-label': 'Find a function', oninput: () => this.draw() });
    this.note = make('p', { class: 'help', role: 'status' });
    this.graph = make('div', { class: 'flame', role: 'group', 'aria-label': 'Stacks; arrow keys move, Enter zooms', onkeydown: (event) => this.key(event) });
    this.table = make('tbody');
    const head = make('tr', {}, ...['Function', 'Itself', 'With callees'].map((text) => make('th', { scope: 'col', text })));
    box.append(make('div', { class: 'tools' }, this.mode, this.again, this.search), this.note, this.graph,
      make('table', { class: 'sites' }, make('thead', {}, head), this.table));
  }

  async read() {
    write(this.note, 'Reading…');
    const answer = await fetch('../pprof/heap?stacks');
    if (!answer.ok) return write(this.note, visible(await answer.text(), 500, true));
    this.now = await answer.json();
    this.build();
  }

  /** A difference is relative to the profile at the time of the request. */
  compare(mode) {
    this.was = mode === 'difference' ? this.now : null;
    if (this.was) this.read();
    else this.build();
  }

  build() {
    const root = empty('all', null);
    const sites = new Map();
    const add = (profile, key) => profile?.stacks.forEach(([stack, bytes]) => {
      let at = root;
      root[key] += bytes;
      const seen = new Set();
      for (const place of stack) {
        const name = profile.functions[place];
        if (!at.below.has(name)) at.below.set(name, empty(name, at));
        at = at.below.get(name);
        at[key] += bytes;
        if (!sites.has(name)) sites.set(name, { name, self: 0, all: 0 });
        // A recursive function counts once.
        if (!seen.has(name)) sites.get(name).all += key === 'now' ? bytes : -bytes;
        seen.add(name);
      }
      if (at !== root) sites.get(at.name).self += key === 'now' ? bytes : -bytes;
    });
    add(this.now, 'now');
    add(this.was, 'was');
    Object.assign(this, { root, top: root, chosen: root });
    this.sites = [...sites.values()].sort((a, b) => Math.abs(b.self) - Math.abs(a.self) || Math.abs(b.all) - Math.abs(a.all));
    this.draw();
  }

  draw() {
    const { root, top } = this;
    if (!root) return;
    const words = this.search.value.toLowerCase();
    const size = (node) => Math.max(node.now, node.was);
    this.frames = [];
    const least = LEAST / (this.graph.clientWidth || 800);
    let found = 0;
    const place = (node, depth, left, width, inside) => {
      const hit = words !== '' && node.name.toLowerCase().includes(words);
      // Matches below another match are counted with it.
      if (hit && !inside) found += node.now;
      this.frames.push({ node, depth, left, width, dim: words !== '' && !hit });
      const below = [...node.below.values()].sort((a, b) => size(b) - size(a));
      const whole = Math.max(size(node), below.reduce((sum, one) => sum + size(one), 0));
      for (const one of below) {
        const share = width * size(one) / whole;
        if (share >= least) place(one, depth + 1, left, share, inside || hit);
        left += share;
      }
    };
    const above = [];
    for (let node = top.up; node; node = node.up) above.unshift(node);
    above.forEach((node, depth) => this.frames.push({ node, depth, left: 0, width: 1, dim: true }));
    place(top, above.length, 0, 1, false);
    const { frames, graph } = this;
    while (graph.children.length > frames.length) graph.lastChild.remove();
    while (graph.children.length < frames.length) graph.append(make('button', { type: 'button', onclick: (event) => this.zoom(event.currentTarget.node) }));
    frames.forEach(({ node, depth, left, width, dim }, i) => {
      const frame = graph.children[i];
      frame.node = node;
      const change = node.now - node.was;
      const share = human(root.now ? node.now / root.now : 0, 'ratio');
      const moved = this.was ? `, ${change < 0 ? '−' : '+'}${human(Math.abs(change), 'bytes')}` : '';
      const name = visible(node.name, 300);
      write(frame, name);
      frame.title = `${name}: ${human(node.now, 'bytes')}, ${share} of all${moved}`;
      frame.setAttribute('aria-label', frame.title);
      frame.tabIndex = node === this.chosen ? 0 : -1;
      frame.className = `${this.was ? (change < 0 ? 'down' : change ? 'up' : 'same') : 'live'}${dim ? ' dim' : ''}`;
      Object.assign(frame.style, { left: `${left * 100}%`, width: `${width * 100}%`, top: `${depth * ROW}px` });
      frame.style.setProperty('--heat', `${Math.round(10 + (this.was ? 60 * Math.abs(change) / (size(node) || 1) : 14 * (1 + depth % 3)))}%`);
    });
    graph.style.height = `${(Math.max(...frames.map((one) => one.depth)) + 1) * ROW}px`;
    const matches = words ? ` What matches holds ${human(found, 'bytes')}.` : '';
    write(this.note, `${human(root.now, 'bytes')} live, by a sample of one block in ${human(this.now.rate, 'bytes')}; ${plural(this.now.stacks.length, 'stack')}.${matches}`);
    this.table.replaceChildren(...this.sites.slice(0, SHOWN).map(({ name, self, all }) => make('tr', {},
      make('td', {}, make('button', { type: 'button', text: visible(name, 300), onclick: () => { this.search.value = name; this.draw(); } })),
      make('td', { text: human(self, 'bytes') }), make('td', { text: human(all, 'bytes') }))));
  }

  zoom(node) {
    this.chosen = this.top = node === this.top ? this.root : node;
    this.draw();
    this.focus();
  }

  focus() {
    [...this.graph.children].find((frame) => frame.node === this.chosen)?.focus();
  }

  key(event) {
    const at = this.frames.findIndex((one) => one.node === this.chosen);
    const beside = (step) => this.frames.filter((one) => one.depth === this.frames[at]?.depth)
      .find((one, i, all) => all[i - step]?.node === this.chosen)?.node;
    const to = {
      ArrowUp: () => this.chosen.up, ArrowLeft: () => beside(-1), ArrowRight: () => beside(1),
      ArrowDown: () => this.frames.find((one) => one.node.up === this.chosen)?.node,
    }[event.key];
    if (event.key === 'Escape') this.zoom(this.root);
    else if (!to) return;
    else if (to()) { this.chosen = to(); this.draw(); this.focus(); }
    event.preventDefault();
    event.stopPropagation();
  }
}
