/* classes.js: occupancy by size class, arenas by how full they are, and what would go back in other
 * units.
 */
'use strict';

const CLASSES_FIRST = 16;

function drawClasses(element, data, chosenClass) {
  const rows = data.classes.filter((one) => one.live_bytes + one.pinned_bytes + one.cached_bytes > 0)
    .sort((a, b) => b.pinned_bytes + b.cached_bytes - (a.pinned_bytes + a.cached_bytes) || a.size_class - b.size_class);
  const most = Math.max(1, ...rows.map((one) => one.live_bytes + one.pinned_bytes + one.cached_bytes));
  const body = el('tbody');
  const more = el('button', { type: 'button', onclick: () => { more.hidden = true; for (const line of body.children) line.hidden = false; } }, `Show all ${countText(rows.length)}`);
  more.hidden = rows.length <= CLASSES_FIRST;
  rows.forEach((one, i) => {
    let x = 0;
    const bars = [['live', one.live_bytes], ['pinned', one.pinned_bytes], ['cached', one.cached_bytes]].map(([colour, bytes]) => {
      const rect = svg('rect', { class: 'fill c-' + colour, x, y: 0, width: (bytes * 1000) / most, height: 20 }, svg('title', {}, `${bytesText(bytes)} ${colour}`));
      x += (bytes * 1000) / most;
      return rect;
    });
    body.append(el('tr', { 'data-class': one.size_class, hidden: i >= CLASSES_FIRST },
      el('td', { class: 'n' }, el('button', { type: 'button', title: 'show in the map', onclick: () => chosenClass.set(one.size_class) }, countText(one.block_bytes) + ' B')),
      el('td', { class: 'n' }, countText(one.pools)), el('td', { class: 'n' }, countText(one.live_blocks)), el('td', { class: 'n' }, percentText(one.live_blocks, one.capacity)),
      el('td', { class: 'n' }, bytesText(one.live_bytes)), el('td', { class: 'n' }, bytesText(one.pinned_bytes)), el('td', { class: 'n' }, bytesText(one.cached_bytes)),
      el('td', { class: 'bars' }, svg('svg', { class: 'stacked', viewBox: '0 0 1000 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, bars))));
  });
  element.append(el('p', { class: 'soft' }, 'Resident bytes of the pools of each block size, those with the most held first: ',
    [['c-live', 'live, '], ['c-pinned', 'pinned, '], ['c-cached', 'cached. ']].map(([colour, words]) => [el('span', { class: 'swatch ' + colour }), words]),
    'Choosing a size lights its pages up in the map.'),
  el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, ['Block', 'Pools', 'Live blocks', 'Occupied', 'Live', 'Pinned', 'Cached'].map((words) => el('th', { class: 'n' }, words)), el('th', {}, 'Resident'))), body)), el('div', { class: 'controls' }, more),
  el('div', { class: 'two' }, arenaHistogram(data), unitTable(data)));
}

function arenaHistogram(data) {
  const most = Math.max(1, ...data.arenas.map((step) => step.arenas));
  const bars = data.arenas.map((step, i) => {
    const height = (step.arenas * 110) / most;
    const label = i === 0 ? 'none' : `${step.live_percent_up_to}`;
    return [svg('rect', { class: 'fill ' + (i === 0 ? 'c-cached' : 'c-live'), x: i * 46 + 4, y: 130 - height, width: 38, height },
      svg('title', {}, `${countText(step.arenas)} arenas, ${bytesText(step.resident_bytes)} resident, ${bytesText(step.live_bytes)} live`)),
    step.arenas > 0 && svg('text', { x: i * 46 + 23, y: 126 - height, 'text-anchor': 'middle' }, countText(step.arenas)), svg('text', { x: i * 46 + 23, y: 145, 'text-anchor': 'middle' }, label)];
  });
  return el('div', { class: 'keep' }, el('h3', {}, 'Arenas by fullness'), svg('svg', { class: 'histogram', viewBox: '0 0 510 168', role: 'img', 'aria-label': 'Arenas by the live part of their resident bytes' },
    bars, svg('line', { class: 'axis', x1: 0, x2: 510, y1: 130, y2: 130 }), svg('text', { x: 255, y: 163, 'text-anchor': 'middle' }, 'live part of the resident bytes, up to so many percent')));
}

function unitTable(data) {
  return el('div', { class: 'keep' }, el('h3', {}, 'What would go back'), el('p', { class: 'soft' }, 'If memory without a live block were returned in units of'),
    el('table', {}, el('tbody', {}, data.granularity.map((unit) => el('tr', {}, el('td', { class: 'n' }, bytesText(unit.unit_bytes)), el('td', { class: 'n' }, bytesText(unit.return_bytes)))))),
    el('p', {}, `Page floor: ${bytesText(data.page_floor_bytes)}, the pages with a live block. No allocator that moves nothing gets below.`));
}
