/* ledger.js: the verdict, and the ledger as one bar with the table that is its legend. */
'use strict';

const LEDGER_COLOURS = {
  live: ['live', 'live2', 'live3'], held: ['pinned', 'cached', 'cached2'], metadata: ['own', 'own2'],
  program: ['program', 'program2', 'program3'], residual: ['residual'],
};

function ledgerColours(rows) {
  const used = {};
  return rows.map((row) => {
    const list = LEDGER_COLOURS[row.group] || LEDGER_COLOURS.residual;
    used[row.group] = (used[row.group] ?? -1) + 1;
    return 'c-' + list[Math.min(used[row.group], list.length - 1)];
  });
}

/* What a reader has to know of how the figures came about; nothing in most snapshots. */
function exactnessNotes(data) {
  const { exactness } = data;
  const notes = [];
  if (!exactness.heap_walked) notes.push('The heap could not be walked: what is not the heap\'s is all that is told.');
  if (!exactness.frozen_copy) notes.push('No frozen copy could be made: the heap was walked while the process ran, and figures of pools may be off by what ran meanwhile.');
  if (exactness.contradictions > 0) notes.push(`${countText(exactness.contradictions)} records of the snapshot cannot all be true and were left out or cut to size.`);
  if (exactness.overcount_bytes > 0) notes.push(`The allocator's figures exceed those of the kernel by ${bytesText(exactness.overcount_bytes)}.`);
  return notes.map((words) => el('p', { class: 'soft exactness' }, words));
}

function drawVerdict(element, data) {
  const verdict = data.verdict;
  const sum = (group) => data.ledger.filter((row) => row.group === group).reduce((all, row) => all + row.bytes, 0);
  const figure = (colour, value, words) => el('div', { class: 'figure ' + colour }, el('b', {}, bytesText(value)), el('span', {}, words));
  const part = (value) => percentText(value, data.rss_bytes) + ' of RSS';
  element.append(el('div', { class: 'verdict' },
    ['summary', 'why', 'who', 'remedy', 'python_note'].filter((key) => verdict[key]).map((key) => el('p', {}, verdict[key].replaceAll(' +- ', ' ±'))),
    exactnessNotes(data)),
  el('div', { class: 'figures' },
    figure('', data.rss_bytes, 'RSS'),
    figure('c-live', verdict.live_bytes, 'live, ' + part(verdict.live_bytes)),
    figure('c-pinned', verdict.pinned_bytes, 'pinned, ' + part(verdict.pinned_bytes)),
    figure('c-cached', verdict.cached_bytes, 'cached, ' + part(verdict.cached_bytes)),
    figure('c-own', sum('metadata'), 'Tidemark\'s own, ' + part(sum('metadata'))),
    figure('c-program', sum('program'), 'not the heap\'s, ' + part(sum('program')))));
}

function drawLedger(element, data) {
  const colours = ledgerColours(data.ledger);
  const drawn = data.ledger.reduce((all, row) => all + Math.max(row.bytes, 0), 0);
  const bar = svg('svg', { class: 'bar', viewBox: '0 0 1000 40', preserveAspectRatio: 'none', role: 'img', 'aria-label': 'RSS by the rows of the table below' });
  const body = el('tbody');
  let x = 0;
  data.ledger.forEach((row, i) => {
    if (row.bytes === 0) return;
    const width = drawn ? (Math.max(row.bytes, 0) * 1000) / drawn : 0;
    const words = `${row.name}: ${bytesText(row.bytes)}, ${percentText(row.bytes, data.rss_bytes)}`;
    const rect = svg('rect', { class: 'fill ' + colours[i], x, y: 0, width, height: 40 }, svg('title', {}, words));
    const line = el('tr', {}, el('td', {}, el('span', { class: 'swatch ' + colours[i] }), row.name), el('td', { class: 'n' }, countText(row.bytes)),
      el('td', { class: 'n' }, percentText(row.bytes, data.rss_bytes)), el('td', {}, row.meaning));
    for (const one of [rect, line]) {
      one.addEventListener('pointerenter', () => [rect, line].forEach((node) => node.classList.add('lit')));
      one.addEventListener('pointerleave', () => [rect, line].forEach((node) => node.classList.remove('lit')));
    }
    if (width > 0) bar.append(rect);
    body.append(line);
    x += width;
  });
  body.append(el('tr', { class: 'sum' }, el('td', {}, 'RSS'), el('td', { class: 'n' }, countText(data.rss_bytes)), el('td', { class: 'n' }, '100 %'), el('td', {}, data.rss_source)));
  element.append(bar, el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'Row'), el('th', { class: 'n' }, 'Bytes'),
    el('th', { class: 'n' }, 'Part'), el('th', {}, 'Meaning'))), body)),
  el('p', { class: 'soft' }, 'Rows of 0 bytes are left out. The rows sum to RSS exactly: the residual is what the others leave.'));
}
