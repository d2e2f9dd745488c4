/* map.js: the arena map. A tile is an arena, a cell a page (in large heaps several of either, as the
 * data says), coloured by how much of it is in use. Drawn into one ImageData, so that some 300,000
 * cells take a moment only. A size class, a site or both light their cells up; the others fade.
 *
 * Where a cell's survivors are known by site, it is lit or not. Where only some pages were chosen,
 * the others are lit by how much of their size class is charged to the site: the more, the
 * stronger.
 */
'use strict';

const MAP_STOPS = [[215, 48, 31], [240, 120, 60], [250, 190, 110], [170, 200, 225], [90, 155, 205], [33, 102, 172]];

/* An array of numbers from {width, data}. */
function unpackRow(row) {
  const text = atob(row.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (row.width === 1) return bytes;
  const view = new DataView(bytes.buffer);
  const values = new Float64Array(bytes.length / row.width);
  for (let i = 0; i < values.length; i++) {
    if (row.width === 2) values[i] = view.getUint16(2 * i, true);
    else if (row.width === 4) values[i] = view.getUint32(4 * i, true);
    else values[i] = view.getUint32(8 * i, true) + view.getUint32(8 * i + 4, true) * 2 ** 32;
  }
  return values;
}

/* The masks of sites, as a list of bit numbers each. */
function unpackMasks(row) {
  const text = atob(row.data);
  const masks = [];
  for (let at = 0; at + row.width <= text.length; at += row.width) {
    const bits = [];
    for (let bit = 0; bit < row.width * 8; bit++) if ((text.charCodeAt(at + (bit >> 3)) >> (bit & 7)) & 1) bits.push(bit);
    masks.push(bits);
  }
  return masks;
}

function unpackMap(map) {
  const cells = { ...map };
  for (const key of ['bases', 'size_class', 'live', 'pinned', 'cached', 'span', 'own', 'set']) cells[key] = unpackRow(map[key]);
  for (const key of ['cached', 'span', 'own']) cells[key] = Float64Array.from(cells[key], (pages) => pages * 4096);
  cells.masks = unpackMasks(map.masks);
  return cells;
}

function occupancyColour(part) {
  const at = Math.min(Math.max(part, 0), 1) * (MAP_STOPS.length - 1);
  const low = Math.min(Math.floor(at), MAP_STOPS.length - 2);
  return MAP_STOPS[low].map((value, i) => Math.round(value + (MAP_STOPS[low + 1][i] - value) * (at - low)));
}

/* Colours of the page's style as [r, g, b]. */
function styleColour(name) {
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

/* Which places in the list of sites a cell's survivors are of; null: not known. */
function cellSites(map, sites, cell) {
  const bits = map.masks[map.set[cell]];
  if (bits.length === 0) return null;
  const unknown = sites.findIndex((site) => !site.recorded);
  return { places: bits.filter((bit) => bit < map.site_bits), others: bits.includes(map.site_bits + 1), unknown: bits.includes(map.site_bits) ? unknown : -1 };
}

/* How strongly each cell is lit, 0 to 1, by the filters; null: nothing is filtered. */
function litCells(map, data, filter) {
  if (filter.sizeClass === null && filter.site === null) return null;
  const lit = new Float32Array(map.cells);
  const bit = filter.site === null ? null : !data.sites[filter.site].recorded ? map.site_bits : filter.site;
  const known = bit !== null && bit <= map.site_bits ? map.masks.map((bits) => bits.includes(bit)) : null;
  const byClass = new Map();
  if (bit !== null) {
    for (const [place, sizeClass, bytes] of map.held_by_class) {
      const use = data.classes.find((one) => one.size_class === sizeClass);
      if (place === filter.site && use && use.pinned_bytes > 0) byClass.set(sizeClass + 1, Math.min(1, bytes / use.pinned_bytes));
    }
  }
  const guess = known === null || !data.recording.exact;
  for (let i = 0; i < map.cells; i++) {
    if (filter.sizeClass !== null && map.size_class[i] !== filter.sizeClass + 1) continue;
    if (bit === null) lit[i] = 1;
    else if (known !== null && map.set[i] !== 0 && map.masks[map.set[i]].length > 0) lit[i] = known[map.set[i]] ? 1 : 0;
    else if (guess && map.pinned[i] > 0) lit[i] = 0.85 * (byClass.get(map.size_class[i]) || 0);
  }
  return lit;
}

/* Where tiles and cells are, for a width in pixels of the screen and an edge of a cell. */
function mapLayout(map, width, edge) {
  const columns = 2 ** Math.ceil(Math.log2(map.cells_per_tile) / 2);
  const rows = Math.max(1, map.cells_per_tile / columns);
  const gap = Math.max(1, Math.round(edge / 3));
  const across = Math.max(1, Math.floor((width + gap) / (columns * edge + gap)));
  const down = Math.ceil(map.tiles / across);
  return { edge, columns, rows, gap, across, down, tileWidth: columns * edge + gap, tileHeight: rows * edge + gap,
    width: across * (columns * edge + gap) - gap, height: Math.max(1, down * (rows * edge + gap) - gap) };
}

/* The largest edge with which the map stays within a height. */
function fittingEdge(map, width, height, scale) {
  for (let edge = 12; edge > 2; edge--) if (mapLayout(map, width, edge * scale).height <= height * scale) return edge;
  return 2;
}

function tileOrder(map, by) {
  const order = Array.from({ length: map.tiles }, (_, i) => i);
  if (by === 'address') return order;
  const part = order.map((tile) => {
    let live = 0, pinned = 0;
    for (let i = tile * map.cells_per_tile; i < Math.min((tile + 1) * map.cells_per_tile, map.cells); i++) {
      live += map.live[i] + map.span[i];
      pinned += map.pinned[i];
    }
    return pinned > 0 ? live / (live + pinned) : 2;
  });
  return order.sort((a, b) => part[a] - part[b] || a - b);
}

/* Colour of each cell as one number for a Uint32Array of RGBA. */
function cellColours(map, lit) {
  const [cached, span, own, none, paper] = ['--cached2', '--program2', '--own', '--shade', '--paper'].map(styleColour);
  const colours = new Uint32Array(map.cells);
  for (let i = 0; i < map.cells; i++) {
    const inPools = map.live[i] + map.pinned[i];
    let colour = none;
    if (inPools > 0 && inPools >= map.span[i]) colour = occupancyColour(map.live[i] / inPools);
    else if (map.span[i] > 0) colour = span;
    else if (map.own[i] > 0) colour = own;
    else if (map.cached[i] > 0) colour = cached;
    if (lit !== null) {
      const strength = 0.13 + 0.87 * lit[i];
      colour = colour.map((value, k) => Math.round(paper[k] + (value - paper[k]) * strength));
    }
    colours[i] = (255 << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0];
  }
  return colours;
}

function paintMap(canvas, map, layout, order, colours, lit) {
  canvas.width = layout.width;
  canvas.height = layout.height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(layout.width, layout.height);
  const pixels = new Uint32Array(image.data.buffer);
  const line = layout.edge > 4 ? layout.edge - 1 : layout.edge; /* a hair between large cells */
  const outlined = [];
  order.forEach((tile, at) => {
    const left = (at % layout.across) * layout.tileWidth;
    const top = Math.floor(at / layout.across) * layout.tileHeight;
    let strongest = 0;
    for (let i = 0; i < map.cells_per_tile; i++) {
      const cell = tile * map.cells_per_tile + i;
      if (cell >= map.cells) break;
      const x = left + (i % layout.columns) * layout.edge;
      const y = top + Math.floor(i / layout.columns) * layout.edge;
      for (let row = y; row < y + line; row++) pixels.fill(colours[cell], row * layout.width + x, row * layout.width + x + line);
      if (lit !== null) strongest = Math.max(strongest, lit[cell]);
    }
    if (strongest >= 0.5) outlined.push([left, top]);
  });
  context.putImageData(image, 0, 0);
  /* Where many are, frames tell nothing that the colours do not. */
  if (outlined.length > 0 && outlined.length < map.tiles / 4) {
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue('--ink').trim();
    for (const [left, top] of outlined) context.strokeRect(left - 0.5, top - 0.5, layout.columns * layout.edge + 1, layout.rows * layout.edge + 1);
  }
}

/* What is known of a cell, as words and buttons. */
function describeCell(map, data, cell, chosen) {
  const tile = Math.floor(cell / map.cells_per_tile);
  const pages = map.pages_per_cell;
  const address = map.bases[tile] * 262144 + (cell % map.cells_per_tile) * pages * 4096;
  const words = [el('b', {}, `0x${address.toString(16)}`), ` arena ${countText(tile * map.arenas_per_tile + 1)}, ${pages === 1 ? `page ${cell % 64}` : `${countText(pages)} pages`}: `];
  const inPools = map.live[cell] + map.pinned[cell];
  const use = data.classes.find((one) => one.size_class === map.size_class[cell] - 1);
  if (use) words.push(`blocks of ${countText(use.block_bytes)} B${pages > 1 ? ' mostly' : ''}; `);
  if (inPools > 0) words.push(`${percentText(map.live[cell], inPools)} occupied: ${bytesText(map.live[cell])} live, ${bytesText(map.pinned[cell])} free and pinned. `);
  for (const [key, meaning] of [['cached', 'free, can go back'], ['span', 'live in large blocks'], ['own', 'Tidemark\'s own']])
    if (map[key][cell] > 0) words.push(`${bytesText(map[key][cell])} ${meaning}. `);
  if (inPools === 0 && map.cached[cell] + map.span[cell] + map.own[cell] === 0) words.push('not resident, or not the heap\'s. ');
  const survivors = map.live[cell] > 0 ? cellSites(map, data.sites, cell) : null;
  if (survivors) {
    words.push('Survivors of ');
    survivors.places.slice(0, 8).forEach((place) => words.push(el('button', { type: 'button', onclick: () => chosen.set(place) }, data.sites[place].name),
      agesText(data, data.sites[place]) ? ` (its blocks are ${agesText(data, data.sites[place])} old) ` : ' '));
    if (survivors.places.length > 8) words.push(`and ${survivors.places.length - 8} sites more `);
    if (survivors.others) words.push(survivors.places.length ? 'and of sites that hold less ' : 'sites that hold less ');
    if (survivors.unknown >= 0) words.push(survivors.places.length || survivors.others ? 'and blocks that are not recorded' : 'blocks that are not recorded');
  } else if (map.pinned[cell] > 0) {
    words.push(data.recording.recorded ? 'Whose survivors these are is not known of this page.' : '');
  }
  return words;
}

function unitWords(map) {
  const count = (number, one, many) => (number === 1 ? `a ${one}` : `${countText(number)} ${many}`);
  return `A tile is ${map.arenas_per_tile === 1 ? 'an arena (256 KiB)' : `${countText(map.arenas_per_tile)} arenas in a row`}, a cell ${count(map.pages_per_cell, 'page', 'pages')} (${bytesText(map.pages_per_cell * 4096)})` +
    (map.pages_per_cell > 1 ? ', because the heap is too large to show each page' : '') + `. ${countText(map.arenas)} arenas` +
    (map.arenas_not_resident > 0 ? `; ${countText(map.arenas_not_resident)} more have no resident page and are left out.` : '.');
}

function siteNote(map, data) {
  if (!data.recording.recorded) return '';
  if (map.known_pages + map.unknown_pages > 0 && map.known_pages === 0)
    return 'This snapshot does not say whose survivors are on which page: a site lights pages up by how much of their size class is charged to it.';
  if (data.recording.exact) return 'Whose survivors are on a page is known of each page that is not full' + (map.pages_per_cell > 1 ? '; a cell is lit where one of its pages has some of them.' : '.');
  return `Whose survivors are on a page is known of ${countText(map.known_pages)} pages chosen at random; a site lights the others up by how much of their size class is charged to it.`;
}

function mapLegend() {
  const stops = MAP_STOPS.map((colour, i) => svg('stop', { offset: i / (MAP_STOPS.length - 1), 'stop-color': `rgb(${colour})` }));
  return el('div', { class: 'legend' },
    el('span', {}, 'live part of the page: 0 % ', svg('svg', { class: 'scale', viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('defs', {}, svg('linearGradient', { id: 'occupancy' }, stops)), svg('rect', { width: 100, height: 6, fill: 'url(#occupancy)' })), ' 100 %'),
    [['c-cached2', 'free, can go back'], ['c-program2', 'large blocks'], ['c-own', 'Tidemark\'s own']].map(([colour, words]) => el('span', {}, el('span', { class: 'swatch ' + colour }), words)));
}

function drawMap(element, data, chosen, chosenClass) {
  const map = unpackMap(data.map);
  if (map.cells === 0) {
    element.append(el('p', {}, 'The snapshot has no arena with a resident page.'));
    return;
  }
  let order = tileOrder(map, 'address');
  let lit = null, layout = null, edge = 0, cursor = -1, scale = 1;
  const canvas = el('canvas', { tabindex: '0', role: 'application', 'aria-label': 'Arena map. Arrow keys move from page to page; what is there is told below.' });
  const mark = el('div', { class: 'cursor', hidden: true });
  const frame = el('div', { class: 'map-frame' }, canvas, mark);
  const scroller = el('div', { class: 'map-scroll' }, frame);
  const readout = el('p', { class: 'readout', 'aria-live': 'polite' });
  const sum = el('p', { class: 'lit-sum', 'aria-live': 'polite' });
  const classes = el('select', { class: 'by-class', 'aria-label': 'Size class', onchange: () => chosenClass.set(classes.value === '' ? null : Number(classes.value)) },
    el('option', { value: '' }, 'all block sizes'), data.classes.map((one) => el('option', { value: one.size_class }, `${countText(one.block_bytes)} B, ${bytesText(one.pinned_bytes)} pinned`)));
  const bySite = el('select', { class: 'by-site', 'aria-label': 'Site', onchange: () => chosen.set(bySite.value === '' ? null : Number(bySite.value)) });
  const clear = el('button', { type: 'button', onclick: () => { chosenClass.set(null); chosen.set(null); } }, 'Show all');

  function listSites() {
    const listed = data.sites.map((site, place) => ({ site, place })).filter(({ site, place }) => place < map.site_bits || !site.recorded || place === chosen.get());
    bySite.replaceChildren(el('option', { value: '' }, 'all sites'), ...listed.map(({ site, place }) => el('option', { value: place }, `${site.name.slice(0, 60)}, ${bytesText(site.held_share.bytes)} held`)));
    bySite.value = chosen.get() === null ? '' : String(chosen.get());
  }

  function paint() {
    if (layout === null) return;
    lit = litCells(map, data, { sizeClass: chosenClass.get(), site: chosen.get() });
    paintMap(canvas, map, layout, order, cellColours(map, lit), lit);
    clear.disabled = lit === null;
    sum.textContent = '';
    if (lit === null) return;
    let cells = 0, pinned = 0;
    for (let i = 0; i < map.cells; i++) if (lit[i] === 1) {
      cells++;
      pinned += map.pinned[i];
    }
    sum.textContent = `${countText(cells)} ${map.pages_per_cell === 1 ? 'pages' : 'cells'} lit with certainty, with ${bytesText(pinned)} pinned.`;
  }

  function size(wanted) {
    scale = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(scroller.clientWidth - 10, 200);
    edge = Math.min(Math.max(wanted || edge || fittingEdge(map, width * scale, 620, scale), 2), 14);
    do layout = mapLayout(map, width * scale, Math.round(edge * scale)); while (layout.height > 16000 && edge-- > 2);
    canvas.style.width = `${layout.width / scale}px`;
    canvas.style.height = `${layout.height / scale}px`;
    paint();
    placeMark();
  }

  const placeOf = () => {
    const places = new Int32Array(map.tiles);
    order.forEach((tile, at) => { places[tile] = at; });
    return places;
  };
  let places = placeOf();

  /* Column and row of a cell in the whole grid, and back; -1 where there is none. */
  function gridOf(cell) {
    const at = places[Math.floor(cell / map.cells_per_tile)];
    const inside = cell % map.cells_per_tile;
    return [(at % layout.across) * layout.columns + (inside % layout.columns), Math.floor(at / layout.across) * layout.rows + Math.floor(inside / layout.columns)];
  }

  function cellAt(column, row) {
    const across = Math.floor(column / layout.columns), down = Math.floor(row / layout.rows);
    if (column < 0 || row < 0 || across >= layout.across) return -1;
    const tile = order[down * layout.across + across];
    if (tile === undefined) return -1;
    const cell = tile * map.cells_per_tile + (row % layout.rows) * layout.columns + (column % layout.columns);
    return cell < map.cells ? cell : -1;
  }

  function placeMark() {
    mark.hidden = cursor < 0;
    if (cursor < 0) return;
    const [column, row] = gridOf(cursor);
    const x = (Math.floor(column / layout.columns) * layout.tileWidth + (column % layout.columns) * layout.edge) / scale;
    const y = (Math.floor(row / layout.rows) * layout.tileHeight + (row % layout.rows) * layout.edge) / scale;
    Object.assign(mark.style, { left: `${x - 2}px`, top: `${y - 2}px`, width: `${layout.edge / scale + 4}px`, height: `${layout.edge / scale + 4}px` });
    if (document.activeElement === canvas) mark.scrollIntoView({ block: 'nearest' });
  }

  function show(cell) {
    readout.replaceChildren(...(cell < 0 ? [] : describeCell(map, data, cell, chosen)));
  }

  function moveTo(cell) {
    if (cell < 0) return;
    cursor = cell;
    placeMark();
    show(cell);
  }

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const insideX = x % layout.tileWidth, insideY = y % layout.tileHeight;
    if (insideX >= layout.columns * layout.edge || insideY >= layout.rows * layout.edge) return -1;
    return cellAt(Math.floor(x / layout.tileWidth) * layout.columns + Math.floor(insideX / layout.edge),
      Math.floor(y / layout.tileHeight) * layout.rows + Math.floor(insideY / layout.edge));
  }

  canvas.addEventListener('pointermove', (event) => { const cell = pointed(event); if (cell >= 0) show(cell); });
  canvas.addEventListener('pointerleave', () => show(cursor));
  canvas.addEventListener('click', (event) => moveTo(pointed(event)));
  canvas.addEventListener('focus', () => cursor < 0 && moveTo(cellAt(0, 0)));
  canvas.addEventListener('keydown', (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [column, row] = cursor < 0 ? [0, 0] : gridOf(cursor);
    if (Object.hasOwn(steps, event.key)) moveTo(cellAt(column + steps[event.key][0], row + steps[event.key][1]));
    else if (event.key === 'Home') moveTo(cellAt(0, 0));
    else if (event.key === 'Enter' && cursor >= 0) {
      const survivors = cellSites(map, data.sites, cursor);
      if (survivors && survivors.places.length > 0) chosen.set(survivors.places[0]);
    } else if (event.key === 'Escape') clear.click();
    else return;
    event.preventDefault();
  });
  chosen.follow(() => { listSites(); paint(); });
  chosenClass.follow((value) => { classes.value = value === null ? '' : String(value); paint(); });
  for (const media of ['(prefers-color-scheme: dark)', 'print']) matchMedia(media).addEventListener('change', paint);

  element.append(el('p', { class: 'soft' }, unitWords(map), ' ', siteNote(map, data)),
    el('div', { class: 'controls' }, classes, bySite, clear,
      choiceButtons('Order of the arenas', [['address', 'by address'], ['sparse', 'sparsest first']], 'address', (by) => { order = tileOrder(map, by); places = placeOf(); paint(); placeMark(); }),
      el('button', { type: 'button', class: 'smaller', 'aria-label': 'Smaller cells', onclick: () => size(edge - 1) }, '−'), el('button', { type: 'button', class: 'larger', 'aria-label': 'Larger cells', onclick: () => size(edge + 1) }, '+')),
    mapLegend(), scroller, sum, readout);
  listSites();
  let width = 0;
  new ResizeObserver(() => { if (scroller.clientWidth !== width) { width = scroller.clientWidth; size(0); } }).observe(scroller);
}
