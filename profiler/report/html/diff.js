/* diff.js: the page that compares two snapshots, put together from its data: verdict, ledger side by
 * side, what moved, call sites, and the flame graph of both. Comes last.
 */
'use strict';

const SITES_FIRST = 20;
const NAMES = ['before', 'after'];

function section(page, nav, id, title, ...rest) {
  const element = el('section', { id, 'aria-labelledby': id + '-title' }, el('h2', { id: id + '-title' }, title), ...rest);
  nav.append(el('a', { href: '#' + id }, title));
  page.append(element);
  return element;
}

function changeText(value, words = bytesText) {
  return (value > 0 ? '+' : value < 0 ? '−' : '') + words(Math.abs(value));
}

/* A cell with a change, in its colour. */
function changeCell(value, words = bytesText) {
  return el('td', { class: 'n ' + (value > 0 ? 'more' : value < 0 ? 'less' : 'same') }, changeText(value, words));
}

function head(data) {
  const names = data.snapshots.map((snapshot) => snapshot.exe.split('/').pop() || 'a process');
  document.title = plain(`${names[0]}: Tidemark comparison`);
  const line = (snapshot, i) => {
    const when = new Date(snapshot.realtime_ns / 1e6).toISOString().replace('T', ' ').replace(/\..*/, ' UTC');
    return el('p', { class: 'subtitle' }, el('b', {}, i === 0 ? 'Before: ' : 'After: '), el('code', {}, snapshot.file),
      `, snapshot ${snapshot.snapshot_number} of process ${snapshot.pid}, taken ${when}, ${timeText(snapshot.since_start_ns)} after the start; RSS ${bytesText(snapshot.rss_bytes)}.`);
  };
  return el('header', {}, el('h1', {}, names[0] === names[1] ? `${names[0]}, before and after` : names.join(' and ')), data.snapshots.map(line));
}

/* Both snapshots' rows as one bar each, on one scale. */
function ledgerBars(data, colours) {
  const sum = (key) => data.ledger.reduce((all, row) => all + Math.max(row[key], 0), 0);
  const most = Math.max(sum('before_bytes'), sum('after_bytes'), 1);
  const bars = svg('svg', { class: 'bars', viewBox: '0 0 1000 90', preserveAspectRatio: 'none', role: 'img',
    'aria-label': 'RSS before (above) and after (below) by the rows of the table' });
  NAMES.forEach((name, i) => {
    let x = 0;
    data.ledger.forEach((row, k) => {
      const bytes = Math.max(row[name + '_bytes'], 0);
      if (bytes === 0) return;
      const width = (bytes * 1000) / most;
      bars.append(svg('rect', { class: 'fill ' + colours[k], x, y: i * 47, width, height: 43 }, svg('title', {}, `${name}: ${row.name}, ${bytesText(bytes)}`)));
      x += width;
    });
  });
  return bars;
}

function drawBothLedgers(element, data) {
  const colours = ledgerColours(data.ledger);
  const body = el('tbody');
  data.ledger.forEach((row, i) => {
    if (row.before_bytes === 0 && row.after_bytes === 0) return;
    body.append(el('tr', {}, el('td', { title: row.meaning }, el('span', { class: 'swatch ' + colours[i] }), row.name),
      el('td', { class: 'n' }, bytesText(row.before_bytes)), el('td', { class: 'n' }, bytesText(row.after_bytes)), changeCell(row.change_bytes)));
  });
  const [before, after] = data.snapshots.map((snapshot) => snapshot.rss_bytes);
  body.append(el('tr', { class: 'sum' }, el('td', {}, 'RSS'), el('td', { class: 'n' }, bytesText(before)), el('td', { class: 'n' }, bytesText(after)), changeCell(after - before)));
  element.append(el('p', { class: 'soft' }, 'Above before, below after, on one scale.'), ledgerBars(data, colours),
    el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'Row'), el('th', { class: 'n' }, 'Before'), el('th', { class: 'n' }, 'After'),
      el('th', { class: 'n' }, 'Change'))), body)));
}

function drawMoves(element, data) {
  const rows = data.moves.slice(0, 15).map((move) => el('tr', {}, el('td', {}, move.block_bytes ? `blocks of ${countText(move.block_bytes)} B` : move.what),
    changeCell(move.live_change_bytes), changeCell(move.pinned_change_bytes), changeCell(move.cached_change_bytes)));
  const sum = el('tr', { class: 'sum' }, el('td', {}, 'all of the heap'), ...['live', 'pinned', 'cached'].map((key) => changeCell(data[key + '_change_bytes'])));
  element.append(el('p', { class: 'soft' }, 'Pages of pools serve one block size: what is no longer live there is pinned, cached or gone.'),
    el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, ''), ['Live', 'Pinned', 'Cached'].map((name) => el('th', { class: 'n' }, name)))),
      el('tbody', {}, rows, sum))));
  if (data.moves.length > 15) element.append(el('p', { class: 'soft' }, `And ${data.moves.length - 15} rows more, in the sum.`));
}

const FIGURES = [['held_share', 'Held'], ['live', 'Live'], ['sole_pin_resident', 'Pages of its own']];

/* Surely changed ones first, then the larger change. */
function changedSites(data, key) {
  const changed = data.sites.filter((site) => site.recorded && site[key].what !== 'same');
  const unsure = (site) => (site[key].what === 'unsure' ? 1 : 0);
  return changed.sort((a, b) => unsure(a) - unsure(b) || Math.abs(b[key].change_bytes) - Math.abs(a[key].change_bytes));
}

function figureChange(figure) {
  const error = figure.standard_error ? ` ±${bytesText(figure.standard_error)}` : '';
  const colour = figure.what === 'unsure' ? 'unsure' : figure.change_bytes > 0 ? 'more' : figure.change_bytes < 0 ? 'less' : 'same';
  return el('td', { class: 'n ' + colour }, changeText(figure.change_bytes) + error + (figure.what === 'unsure' ? ' ?' : ''));
}

function drawSites(element, data, showInFlame) {
  const table = el('div', { class: 'wide' });
  let shown = SITES_FIRST;
  let key = data.comparable.held && data.sorted_by !== 'live' ? (data.sorted_by === 'sole' ? 'sole_pin_resident' : 'held_share') : 'live';
  const draw = () => {
    const sites = changedSites(data, key);
    const others = FIGURES.filter(([other]) => other !== key);
    const row = (site) => el('tr', {}, el('td', { class: site[key].what }, site[key].what),
      el('td', { class: 'name' }, site.function ? el('button', { type: 'button', title: 'Find in the flame graph', onclick: () => showInFlame(site.function) }, site.name) : site.name,
        el('small', {}, `${countText(site.live_blocks_before)} blocks, now ${countText(site.live_blocks_after)}`)),
      el('td', { class: 'n' }, estimateText(site[key].before)), el('td', { class: 'n' }, estimateText(site[key].after)), figureChange(site[key]),
      others.map(([other]) => figureChange(site[other])));
    table.replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, ''), el('th', {}, 'Call site'), ['Before', 'After', 'Change'].map((name) => el('th', { class: 'n' }, name)),
      others.map(([, name]) => el('th', { class: 'n' }, name)))), el('tbody', {}, sites.slice(0, shown).map(row))));
    if (sites.length === 0) table.append(el('p', {}, 'No site\'s changed.'));
    if (sites.length > shown) table.append(el('button', { type: 'button', class: 'all', onclick: () => { shown = Infinity; draw(); } }, `Show ${countText(sites.length - shown)} more`));
  };
  element.append(el('p', { class: 'soft' }, 'Held: free bytes on pages with live blocks, charged to these in equal parts. ± is one standard error; a ? marks a change within two of them, or on too few samples: it may be none.'),
    el('div', { class: 'controls' }, choiceButtons('Which figure', data.comparable.held ? FIGURES : FIGURES.slice(1, 2), key, (chosen) => { key = chosen; draw(); })), table);
  draw();
}

function start() {
  const data = JSON.parse(document.getElementById('data').textContent);
  const page = document.getElementById('page');
  const nav = el('nav', { 'aria-label': 'Parts of the comparison' });
  page.append(head(data), nav, el('p', { class: 'verdict' }, data.verdict));
  if (data.comparable.notes.length > 0) section(page, nav, 'notes', 'What does not compare', data.comparable.notes.map((words) => el('p', {}, words)));
  drawBothLedgers(section(page, nav, 'ledger', 'Ledger'), data);
  if (data.comparable.heap) drawMoves(section(page, nav, 'moves', 'What moved'), data);
  if (data.comparable.sites) {
    let flame;
    const part = section(page, nav, 'sites', 'Call sites');
    const picture = section(page, nav, 'flame', 'Flame graph', el('p', { class: 'soft' }, 'Outermost callers on top. Red grew, blue shrank, the stronger the more of it; a node is as wide as the larger of before and after.'));
    drawSites(part, data, (name) => {
      flame.search(name);
      picture.scrollIntoView();
    });
    flame = flameGraph(picture, data.flame, { metric: data.sorted_by === 'live' || !data.comparable.held ? 'live' : 'held', names: NAMES });
  }
  page.append(el('footer', {}, el('p', { class: 'soft' }, `Made by tidemark ${data.tidemark_version}. This page is one file and loads nothing.`)));
}

start();
