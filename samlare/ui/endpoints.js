// All endpoints at a glance, and one of them on a click.

import { Chart, make } from './debug/vars/ui/chart.js';
import { clock, duration, human, visible } from './debug/vars/ui/format.js';
import { colours, repaint } from './debug/vars/ui/paint.js';
import { Sparks, spark } from './debug/vars/ui/spark.js';

const EVERY = 2000; // ms between two looks
const RECENT = 60;
const SHOWN = 300; // variables of an endpoint in the table at one time

const $ = (id) => document.getElementById(id);
let answer = null;

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function ask(address) {
  const response = await fetch(address, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`samlare answered ${response.status}`);
  return response.json();
}

/** The last polls, as many places as are kept, gaps where they failed. */
function polls(endpoint) {
  const points = endpoint.recent_ms.map((ms) => ms ?? NaN);
  return [...new Array(Math.max(0, RECENT - points.length)).fill(NaN), ...points];
}

function ago(secs) {
  const passed = Date.now() / 1000 - secs;
  return secs ? `polled ${passed < 1 ? 'now' : `${duration(Math.round(passed))} ago`}` : 'not polled yet';
}

// ---- the table ----

function blank() {
  const open = make('button', { type: 'button', class: 'open' });
  const sparks = new Sparks(['g']);
  const row = make('tr', {},
    make('td', { class: 'name' }, make('span', { class: 'dot' }), open, make('div', { class: 'prefix' }), make('div', { class: 'fault' })),
    make('td', { class: 'wide' }, sparks.element),
    make('td', { class: 'number' }), make('td', { class: 'number wide' }), make('td', { class: 'number wide' }));
  row.sparks = sparks;
  row.addEventListener('click', () => detail.open(row.endpoint));
  return row;
}

function fill(row, endpoint) {
  row.endpoint = endpoint;
  const [dot, open, prefix, fault] = row.cells[0].children;
  const { state } = endpoint;
  if (dot.className !== `dot ${state}`) dot.className = `dot ${state}`;
  write(open, visible(endpoint.url, 300));
  const label = `${endpoint.url}: ${state}`;
  if (open.getAttribute('aria-label') !== label) open.setAttribute('aria-label', label);
  write(prefix, [visible(endpoint.prefix, 200), ago(endpoint.last_poll_secs)].filter(Boolean).join(' · '));
  write(fault, state === 'down' ? visible(endpoint.last_error, 400) : '');
  write(row.cells[2], state === 'waiting' ? '–' : human(endpoint.last_ms, 'milliseconds'));
  write(row.cells[3], human(endpoint.last_points));
  write(row.cells[4], endpoint.failures ? `${human(endpoint.failures)} of ${human(endpoint.polls)}` : '0');
  const drawn = `${endpoint.polls} ${endpoint.last_poll_secs}`;
  if (row.drawn !== drawn) {
    row.drawn = drawn;
    row.sparks.show([spark('g', [polls(endpoint)], 0, 180, 24)]);
  }
}

function show() {
  const body = $('endpoints');
  while (body.children.length > answer.endpoints.length) body.lastChild.remove();
  while (body.children.length < answer.endpoints.length) body.append(blank());
  answer.endpoints.forEach((endpoint, i) => fill(body.children[i], endpoint));
  const { up, down, waiting } = answer.states;
  const waits = waiting ? `, ${waiting} not polled yet` : '';
  write($('summary'), `${human(answer.total)} endpoint${answer.total === 1 ? '' : 's'}${waits}`);
  write($('state'), down ? `${human(down)} down` : up ? 'All up' : 'Waiting');
  $('state').className = `state ${down ? 'down' : up ? 'up' : ''}`;
  document.title = down ? `(${down} down) samlare` : 'samlare';
  const rest = answer.matching - answer.endpoints.length;
  write($('count'), `${human(answer.matching)} of ${human(answer.total)}${rest > 0 ? `, first ${answer.endpoints.length} shown` : ''}`);
  $('empty').hidden = answer.matching > 0;
  write($('empty'), answer.total ? 'No endpoint matches this filter.' : 'No endpoints are configured or discovered yet.');
  const open = detail.endpoint && answer.endpoints.find((e) => e.url === detail.endpoint.url && e.prefix === detail.endpoint.prefix);
  if (open) {
    detail.endpoint = open;
    detail.draw();
  }
}

let asked = 0;
async function refresh() {
  const mine = ++asked;
  try {
    const got = await ask(`endpoints?${new URLSearchParams({ q: $('filter').value })}`);
    if (mine !== asked) return;
    answer = got;
    show();
  } catch {
    write($('state'), `No answer since ${clock(Date.now())}`);
    $('state').className = 'state lost';
  }
}

// ---- one endpoint ----

const detail = {
  endpoint: null,
  chart: new Chart('Duration of the last polls; arrow keys move the crosshair'),
  rings: new Map(),

  open(endpoint) {
    this.endpoint = endpoint;
    this.rings = new Map();
    this.variables = [];
    $('variables').replaceChildren();
    $('variable-filter').value = '';
    write($('variable-count'), 'Reading…');
    write($('detail-name'), visible(endpoint.url, 1000));
    $('detail').showModal();
    $('detail').focus();
    this.draw();
    this.look();
  },

  draw() {
    const { endpoint } = this;
    const step = endpoint.interval_ms / 1000;
    write($('detail-state'), endpoint.state);
    $('detail-state').className = `state ${endpoint.state}`;
    write($('detail-about'), [
      endpoint.prefix && `as ${visible(endpoint.prefix, 300)}`, `every ${duration(step)}`, ago(endpoint.last_poll_secs),
      `${human(endpoint.last_bytes, 'bytes')}`, `${human(endpoint.last_points)} points`,
      endpoint.last_clashing && `${human(endpoint.last_clashing)} named as another: ${visible(endpoint.last_clash, 300)}`,
      endpoint.skipped && `${human(endpoint.skipped)} slots skipped`,
    ].filter(Boolean).join(' · '));
    const when = endpoint.state === 'down' ? '' : 'Last failure: ';
    write($('detail-error'), endpoint.last_error ? when + visible(endpoint.last_error, 1000) : '');
    this.chart.show({
      lines: [{ name: 'duration', colour: 'b', points: polls(endpoint), fill: true }],
      unit: 'milliseconds', step, mark: step * 15, end: endpoint.last_poll_secs * 1000, zero: true,
    });
  },

  async look() {
    const { endpoint } = this;
    if (!endpoint) return;
    let got;
    try {
      got = await ask(`endpoint?${new URLSearchParams({ url: endpoint.url, prefix: endpoint.prefix })}`);
    } catch (error) {
      got = { error: error.message };
    }
    // Another one may have been opened meanwhile, or none.
    if (this.endpoint?.url !== endpoint.url || this.endpoint.prefix !== endpoint.prefix) return;
    if (got.error) {
      write($('variable-count'), visible(got.error, 300));
    } else {
      this.variables = got.variables;
      this.more = got.more;
      for (const [name, value] of got.variables) {
        if (typeof value !== 'number') continue;
        let ring = this.rings.get(name);
        if (!ring) this.rings.set(name, ring = new Float64Array(RECENT).fill(NaN));
        ring.copyWithin(0, 1);
        ring[RECENT - 1] = value;
      }
      this.list();
    }
    clearTimeout(this.next);
    this.next = setTimeout(() => this.look(), EVERY);
  },

  list() {
    const words = $('variable-filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.variables.filter(([name]) => words.every((word) => name.toLowerCase().includes(word)));
    const rows = found.slice(0, SHOWN);
    const body = $('variables');
    while (body.children.length > rows.length) body.lastChild.remove();
    while (body.children.length < rows.length) {
      const sparks = new Sparks(['g']);
      body.append(make('tr', {}, make('td', { class: 'name' }), make('td', { class: 'wide' }, sparks.element), make('td')));
      body.lastChild.sparks = sparks;
    }
    rows.forEach(([name, value], i) => {
      const row = body.children[i];
      write(row.cells[0], visible(name, 300));
      const number = typeof value === 'number';
      write(row.cells[2], number ? human(value, unit(name)) : visible(String(value), 200));
      row.cells[2].className = number ? 'number' : 'text';
      row.sparks.show(number ? [spark('g', [this.rings.get(name)], 0, 120, 20)] : []);
    });
    const total = this.variables.length + this.more;
    write($('variable-count'), `${human(found.length)} of ${human(total)}${found.length > rows.length ? `, first ${SHOWN} shown` : ''}`);
  },
};
$('detail-chart').append(detail.chart.element);
$('detail').addEventListener('close', () => { detail.endpoint = null; clearTimeout(detail.next); });
$('detail').addEventListener('click', (event) => { if (event.target === $('detail')) $('detail').close(); });
$('detail').addEventListener('keydown', (event) => { if (event.target === $('detail')) detail.chart.key(event); });
document.querySelector('[data-close]').addEventListener('click', () => $('detail').close());

/** What the last word of a name says of its unit. */
function unit(name) {
  const last = name.slice(name.lastIndexOf('.') + 1);
  const word = last.slice(last.lastIndexOf('_') + 1);
  if (/^memstats\.((Total)?Alloc|\w*Sys|Heap(Alloc|Sys|Idle|Inuse|Released)|\w+Inuse|NextGC)$/.test(name)) return 'bytes';
  if (last.endsWith('start_time_seconds')) return 'unix';
  return { bytes: 'bytes', seconds: 'seconds', ms: 'milliseconds', us: 'microseconds', ns: 'nanoseconds', percent: 'percent', ratio: 'ratio' }[word] ?? '';
}

// ---- controls ----

$('filter').value = new URLSearchParams(location.search).get('q') ?? '';
$('filter').addEventListener('input', () => {
  const q = $('filter').value;
  history.replaceState(null, '', q ? `?${new URLSearchParams({ q })}` : location.pathname);
  refresh();
});
$('variable-filter').addEventListener('input', () => detail.list());

const dark = matchMedia('(prefers-color-scheme: dark)');
function theme(chosen) {
  const name = chosen ?? (dark.matches ? 'dark' : 'light');
  document.documentElement.dataset.theme = name;
  $('theme').textContent = name === 'dark' ? '☀' : '☾';
  $('theme').setAttribute('aria-label', name === 'dark' ? 'Light colours' : 'Dark colours');
  repaint();
  colours();
  if (answer) show();
}
function kept() {
  try { return JSON.parse(localStorage.getItem('expvar.theme')); } catch { return null; }
}
$('theme').addEventListener('click', () => {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  try { localStorage.setItem('expvar.theme', JSON.stringify(next)); } catch { /* kept for this visit only */ }
  theme(next);
});
dark.addEventListener('change', () => { if (!kept()) theme(); });
addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.target.matches('input')) return;
  ($('detail').open ? $('variable-filter') : $('filter')).focus();
  event.preventDefault();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

theme(kept());
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
