// All endpoints, and details of a selected one.

import { Chart, make, write } from './debug/vars/ui/chart.js';
import { clock, duration, human, plural, visible } from './debug/vars/ui/format.js';
import { colours, repaint } from './debug/vars/ui/paint.js';
import { Sparks, spark } from './debug/vars/ui/spark.js';

const EVERY = 2000; // ms between two looks
const RECENT = 60;
const PAGE = 200; // endpoints in one answer
const SHOWN = 300; // variables of an endpoint in the table at one time

const $ = (id) => document.getElementById(id);
let answer = null;

async function ask(address) {
  const response = await fetch(address, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`samlare answered ${response.status}`);
  return response.json();
}

/** The durations of the last polls, with gaps for failures. */
function polls(endpoint) {
  const points = endpoint.recent_ms.map((ms) => ms ?? NaN);
  return [...new Array(Math.max(0, RECENT - points.length)).fill(NaN), ...points];
}

/** Vertical lines for failed polls. */
function failures(endpoint, width, height) {
  const lost = polls(endpoint).map((ms, i) => [ms, i]).slice(RECENT - endpoint.recent_ms.length).filter(([ms]) => Number.isNaN(ms));
  const across = (width - 5) * 10 / (RECENT - 1);
  return { kind: 'x', band: '', flat: '', dot: '', line: lost.map(([, i]) => `M${Math.round(10 + i * across)} 20V${(height - 2) * 10}`).join('') };
}

/** A task that runs after a while; in a hidden page it waits until the page is shown. */
class Later {
  plan(task) {
    clearTimeout(this.timer);
    this.task = task;
    this.timer = setTimeout(() => this.run(), EVERY);
  }

  cancel() {
    clearTimeout(this.timer);
    this.task = null;
  }

  run() {
    const { task } = this;
    if (!task || document.hidden) return;
    this.cancel();
    task();
  }
}
const looks = new Later();
const follows = new Later();

function ago(secs) {
  const passed = Date.now() / 1000 - secs;
  return secs ? `polled ${passed < 1 ? 'now' : `${duration(Math.round(passed))} ago`}` : 'not polled yet';
}

// ---- the table ----

function blank() {
  const open = make('button', { type: 'button', class: 'open' });
  const sparks = new Sparks(['g', 'x']);
  const row = make('tr', {},
    make('td', { class: 'name' }, make('span', { class: 'dot' }), open, make('div', { class: 'prefix' }, make('span', { class: 'fault' }), make('span'))),
    make('td', { class: 'wide' }, sparks.element),
    make('td', { class: 'number' }), make('td', { class: 'number wide' }), make('td', { class: 'number wide' }));
  row.sparks = sparks;
  row.addEventListener('click', () => detail.open(row.endpoint));
  return row;
}

function fill(row, endpoint) {
  row.endpoint = endpoint;
  const [dot, open, below] = row.cells[0].children;
  const [fault, prefix] = below.children;
  const { state } = endpoint;
  if (dot.className !== `dot ${state}`) dot.className = `dot ${state}`;
  write(open, visible(endpoint.url, 300));
  const label = `${endpoint.url}: ${state}`;
  if (open.getAttribute('aria-label') !== label) open.setAttribute('aria-label', label);
  write(prefix, [visible(endpoint.prefix, 200), ago(endpoint.last_poll_secs)].filter(Boolean).join(' · '));
  write(fault, state === 'down' ? visible(endpoint.last_error, 400) : '');
  if (below.title !== fault.textContent) below.title = fault.textContent;
  write(row.cells[2], state === 'waiting' ? '–' : human(endpoint.last_ms, 'milliseconds'));
  write(row.cells[3], human(endpoint.last_points));
  write(row.cells[4], endpoint.failures ? `${human(endpoint.failures)} of ${human(endpoint.polls)}` : '0');
  const drawn = `${endpoint.polls} ${endpoint.last_poll_secs}`;
  if (row.drawn !== drawn) {
    row.drawn = drawn;
    row.sparks.show([spark('g', [polls(endpoint)], 0, 180, 24), failures(endpoint, 180, 24)]);
  }
}

/** Spacers above and below the existing rows, as high as the omitted ones. */
function space(id, rows) {
  const cell = $(id).firstElementChild.firstElementChild;
  const height = `${rows * high()}px`;
  if (cell.style.height !== height) cell.style.height = height;
}

/** The height of a row, which is the same for all. */
function high() {
  return matchMedia('(max-width: 640px)').matches ? 64 : 56;
}

function show() {
  const body = $('endpoints');
  while (body.children.length > answer.endpoints.length) body.lastChild.remove();
  while (body.children.length < answer.endpoints.length) body.append(blank());
  space('above', answer.from);
  space('below', Math.max(0, answer.matching - answer.from - answer.endpoints.length));
  answer.endpoints.forEach((endpoint, i) => fill(body.children[i], endpoint));
  const { up, down, waiting } = answer.states;
  const waits = waiting ? `, ${human(waiting)} not polled yet` : '';
  write($('summary'), `${plural(answer.total, 'endpoint')}${waits}`);
  write($('state'), down ? `${human(down)} down` : up ? 'All up' : 'Waiting');
  $('state').className = `state ${down ? 'down' : up ? 'up' : ''}`;
  document.body.classList.remove('stale');
  document.title = down ? `(${down} down) samlare` : 'samlare';
  write($('count'), `${human(answer.matching)} of ${human(answer.total)}`);
  $('empty').hidden = answer.matching > 0;
  write($('empty'), answer.total ? 'No endpoint matches this filter.' : 'No endpoints are configured or discovered yet.');
  const open = detail.endpoint && answer.endpoints.find((e) => e.url === detail.endpoint.url && e.prefix === detail.endpoint.prefix);
  if (open) {
    detail.endpoint = open;
    detail.draw();
  }
}

/** The first endpoint to request, so that the visible ones are in the response. */
function wanted() {
  const top = $('above').getBoundingClientRect().top;
  const first = Math.floor(-top / high());
  return Math.max(0, Math.min(first - 60, (answer?.matching ?? 0) - PAGE));
}

// ---- the cluster ----

function member([name, one], me) {
  const since = one.since_secs ? `${duration(Math.max(0, Math.round(Date.now() / 1000 - one.since_secs)))}` : '–';
  const other = one.other_config === 1;
  const config = make('td', { class: other ? 'wide other' : 'wide' });
  const cells = [make('td', { class: 'name' }), make('td', { title: one.since }), make('td', { class: 'number' }), make('td', { class: 'number' }), config];
  write(cells[0], `${visible(name, 100)}${name === me ? ' (this one)' : ''}${one.leaving ? ', leaving' : ''}`);
  write(cells[1], since);
  write(cells[2], human(one.endpoints));
  write(cells[3], human(one.points));
  write(cells[4], other ? `${visible(one.config, 32)}: another one` : visible(one.config, 32));
  return make('tr', {}, ...cells);
}

function item(text) {
  const entry = make('li', {});
  write(entry, visible(text, 500));
  return entry;
}

/** Members, engine and problems; empty without a cluster. */
async function members() {
  let cluster;
  try {
    cluster = await ask('cluster');
  } catch { return; /* refresh says so */ }
  $('cluster').hidden = !cluster;
  if (!cluster) return;
  const all = Object.entries(cluster.members);
  write($('cluster-name'), `${plural(all.length, 'member')} of the group ${visible(cluster.group, 100)}`);
  const groups = cluster.other_groups.length ? ` Other groups: ${visible(cluster.other_groups.join(', '), 200)}.` : '';
  write($('cluster-engine'), (cluster.engine_up
    ? `${visible(cluster.engine, 300)} answers.`
    : `${visible(cluster.engine, 300)} does not answer, the last members stay in force: ${visible(cluster.engine_error, 300)}.`) + groups);
  $('cluster-engine').className = cluster.engine_up ? 'help' : 'help fault';
  $('members').replaceChildren(...all.map((one) => member(one, cluster.name)));
  $('troubles').replaceChildren(...cluster.troubles.map(item));
}

$('owner').addEventListener('submit', async (event) => {
  event.preventDefault();
  let got;
  try {
    got = await ask(`owner?${new URLSearchParams({ url: $('owner-url').value })}`);
  } catch (error) {
    got = { error: error.message };
  }
  write($('owners'), visible(got.error ?? got.owners.join(', '), 300));
});

let asked = 0;
async function refresh() {
  members();
  const mine = ++asked;
  try {
    const got = await ask(`endpoints?${new URLSearchParams({ q: $('filter').value, from: wanted() })}`);
    if (mine !== asked) return;
    answer = got;
    show();
  } catch {
    if (!document.body.classList.contains('stale')) write($('state'), `No answer since ${clock(Date.now())}`);
    $('state').className = 'state lost';
    document.body.classList.add('stale');
    document.title = 'No answer · samlare';
  }
}

addEventListener('scroll', () => {
  if (!answer) return;
  const first = Math.floor(-$('above').getBoundingClientRect().top / high());
  const last = first + innerHeight / high();
  const end = answer.from + answer.endpoints.length;
  if (first < answer.from || (last > end && end < answer.matching)) refresh();
}, { passive: true });

// ---- one endpoint ----

const detail = {
  endpoint: null,
  chart: new Chart('Duration of the last polls; arrow keys move the crosshair'),
  rings: new Map(),

  open(endpoint, step = true) {
    this.endpoint = endpoint;
    if (step) address(true);
    this.rings = new Map();
    this.variables = [];
    $('variables').replaceChildren();
    $('variable-filter').value = '';
    write($('variable-count'), 'Reading…');
    write($('detail-name'), visible(endpoint.url, 1000));
    $('live').hidden = true;
    if (!$('detail').open) $('detail').showModal();
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
      `${human(endpoint.last_bytes, 'bytes')}`, plural(endpoint.last_points, 'point'),
      endpoint.last_conflicts && `${human(endpoint.last_conflicts)} named as another: ${visible(endpoint.last_conflict, 300)}`,
      endpoint.skipped && `${plural(endpoint.skipped, 'slot')} skipped`,
    ].filter(Boolean).join(' · '));
    const when = endpoint.state === 'down' ? '' : 'Last failure: ';
    write($('detail-error'), endpoint.last_error ? when + visible(endpoint.last_error, 1000) : '');
    this.chart.show({
      lines: [{ name: 'duration', colour: 'b', unit: 'milliseconds', points: polls(endpoint), fill: true }],
      step, start: (endpoint.last_poll_secs - (RECENT - 1) * step) * 1000, zero: true, faults: endpoint.recent_ms.length,
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
      // A service with expvar-http has a live page beside its document.
      const live = /^https?:.*\/vars\/?$/.test(endpoint.url) && got.variables.some(([name]) => name.startsWith('expvar.http.'));
      $('live').hidden = !live;
      if (live) $('live').href = `${endpoint.url.replace(/\/$/, '')}/ui`;
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
    looks.plan(() => this.look());
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
$('detail').addEventListener('close', () => {
  const { endpoint } = detail;
  detail.endpoint = null;
  looks.cancel();
  if (endpoint) address(true);
});
$('detail').addEventListener('click', (event) => { if (event.target === $('detail')) $('detail').close(); });
$('detail').addEventListener('keydown', (event) => { if (event.target === $('detail')) detail.chart.key(event); });
document.querySelector('[data-close]').addEventListener('click', () => $('detail').close());

/** The unit implied by the last word of a name. */
function unit(name) {
  const last = name.slice(name.lastIndexOf('.') + 1);
  const word = last.slice(last.lastIndexOf('_') + 1);
  if (/^memstats\.((Total)?Alloc|\w*Sys|Heap(Alloc|Sys|Idle|Inuse|Released)|\w+Inuse|NextGC)$/.test(name)) return 'bytes';
  if (last.endsWith('start_time_seconds')) return 'unix';
  return { bytes: 'bytes', seconds: 'seconds', ms: 'milliseconds', us: 'microseconds', ns: 'nanoseconds', percent: 'percent', ratio: 'ratio' }[word] ?? '';
}

// ---- controls ----

/** Writes the view to the URL; changes that Back should undo get a history entry. */
function address(step = false) {
  const query = new URLSearchParams();
  if ($('filter').value) query.set('q', $('filter').value);
  if (detail.endpoint) {
    query.set('url', detail.endpoint.url);
    if (detail.endpoint.prefix) query.set('prefix', detail.endpoint.prefix);
  }
  const text = query.toString();
  if (location.search.replace('?', '') === text) return;
  history[step ? 'pushState' : 'replaceState'](null, '', text ? `?${text}` : location.pathname);
}

/** Shows the view in the URL. */
async function follow() {
  const query = new URLSearchParams(location.search);
  $('filter').value = query.get('q') ?? '';
  refresh();
  const [url, prefix] = [query.get('url'), query.get('prefix') ?? ''];
  if (!url) {
    detail.endpoint = null;
    $('detail').close();
    return;
  }
  let endpoint;
  try {
    const found = await ask(`endpoints?${new URLSearchParams({ q: `${url} ${prefix}` })}`);
    endpoint = found.endpoints.find((one) => one.url === url && one.prefix === prefix);
  } catch { /* refresh says so */ }
  const still = new URLSearchParams(location.search);
  if (still.get('url') !== url || (still.get('prefix') ?? '') !== prefix) return;
  // samlare may have just started, or not responded: keep the link.
  if (endpoint) detail.open(endpoint, false);
  else follows.plan(() => { if (!detail.endpoint) follow(); });
}
addEventListener('popstate', follow);

$('filter').addEventListener('input', () => {
  address();
  scrollTo(0, 0);
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
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  refresh();
  looks.run();
  follows.run();
});

theme(kept());
follow();
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
