/* flame.js: stacks as a flame graph, outermost caller on top, drawn as SVG. Own code and not a
 * library, because a node may have two values (before and after), which is what a difference needs.
 *
 *   const flame = flameGraph(element, data, options)
 *
 * data = {
 *   frames: [[name, place, module], …]   what a frame is called, where it is, which library
 *   parent: [0, 0, 1, …]                 of each node, smaller than its own number; node 0 is "all"
 *   frame:  [0, 3, …]                    of each node, index in frames; of node 0 not looked at
 *   metrics: [{key, label, unit, self, before}, …]
 * }
 * unit is 'bytes' or 'blocks'; self[i] is what node i has without its children. With `before`, self
 * is the value after: a node is then as wide as the larger of the two, summed over its leaves, and
 * coloured by the change (class grown or shrunk, in five steps); else by its library.
 * options (all may be missing): metric: key to begin with; names: ['A', 'B'] of before and after;
 * note: {key: sentence} shown while a metric is chosen.
 *
 * flame.metric(key), flame.search(text), flame.zoom(node) do what the controls do.
 * Mouse: a click zooms. Keys in the graph: arrows move, Enter zooms, Escape and Backspace zoom out.
 */
'use strict';

const FLAME_ROW = 19;
const FLAME_COLOURS = 10;
const FLAME_LEAST = 0.7; /* of a pixel: narrower nodes are not drawn */

/* Sums over the subtrees, for one metric: after, before, and the width to draw. */
function flameSums(data, metric) {
  const count = data.parent.length;
  const after = Float64Array.from(metric.self);
  const before = metric.before ? Float64Array.from(metric.before) : null;
  const width = Float64Array.from(metric.self);
  if (before) for (let i = 0; i < count; i++) width[i] = Math.max(after[i], before[i]);
  for (let i = count - 1; i > 0; i--) {
    after[data.parent[i]] += after[i];
    if (before) before[data.parent[i]] += before[i];
    width[data.parent[i]] += width[i];
  }
  return { after, before, width };
}

function flameChildren(data) {
  const children = data.parent.map(() => []);
  for (let i = 1; i < data.parent.length; i++) children[data.parent[i]].push(i);
  return children;
}

function flameHash(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return (hash >>> 0) % FLAME_COLOURS;
}

/* Class of a node that changed, or of its library. */
function flameClass(data, sums, node) {
  if (!sums.before) return node === 0 ? 'root' : 'lib' + flameHash(data.frames[data.frame[node]][2] || '');
  const change = sums.after[node] - sums.before[node];
  const part = sums.width[node] ? Math.abs(change) / sums.width[node] : 0;
  if (part < 0.005) return 'same';
  return (change > 0 ? 'grown' : 'shrunk') + Math.min(5, Math.ceil(part * 5));
}

function flameName(data, node) {
  return node === 0 ? 'all' : data.frames[data.frame[node]][0];
}

function flameGraph(element, data, options = {}) {
  const names = options.names || ['before', 'after'];
  const children = flameChildren(data);
  let metric = data.metrics.find((one) => one.key === options.metric) || data.metrics[0];
  let sums = flameSums(data, metric);
  let zoomed = 0; /* node that is as wide as the picture */
  let at = 0; /* node that the keys are at */
  let wanted = ''; /* what is searched for, in lower case */
  let drawn = new Map(); /* node -> {x, width, depth, group} */

  const picture = svg('svg', { class: 'flame', tabindex: '0', role: 'application',
    'aria-label': 'Flame graph. Arrow keys move, Enter zooms, Escape zooms out.' });
  const readout = el('p', { class: 'readout', 'aria-live': 'polite' });
  const found = el('span', { class: 'found', 'aria-live': 'polite' });
  const note = el('p', { class: 'soft flame-note' });
  const search = el('input', { type: 'search', placeholder: 'Search functions, files, libraries', 'aria-label': 'Search in the flame graph',
    oninput: () => doSearch(search.value) });
  const reset = el('button', { type: 'button', class: 'reset', disabled: true, onclick: () => zoom(0) }, 'Zoom out');
  const scroller = el('div', { class: 'flame-scroll' }, picture);
  const metrics = choiceButtons('What the widths show', data.metrics.map((one) => [one.key, one.label]), metric.key, setMetric);
  element.append(el('div', { class: 'controls' }, metrics, search, reset, found), note, scroller, readout);

  const matches = (node) => {
    if (!wanted || node === 0) return false;
    return data.frames[data.frame[node]].some((text) => text && text.toLowerCase().includes(wanted));
  };

  function describe(node) {
    readout.textContent = '';
    if (node === null || !drawn.has(node)) return;
    const [, place, library] = node === 0 ? ['', '', ''] : data.frames[data.frame[node]];
    const total = sums.after[0];
    readout.append(el('b', {}, flameName(data, node)), ' ', place ? place + ' ' : '', library ? `[${library}] ` : '');
    if (sums.before) {
      const change = sums.after[node] - sums.before[node];
      readout.append(`${names[0]} ${unitText(sums.before[node], metric.unit)}, ${names[1]} ${unitText(sums.after[node], metric.unit)}, ` +
        `${change < 0 ? '−' : '+'}${unitText(Math.abs(change), metric.unit)}`);
    } else {
      readout.append(`${unitText(sums.after[node], metric.unit)} ${metric.label}, ${percentText(sums.after[node], total)} of all`);
      if (zoomed !== 0) readout.append(`, ${percentText(sums.after[node], sums.after[zoomed])} of what is zoomed into`);
      if (metric.self[node] > 0 && children[node].some((child) => sums.width[child] > 0))
        readout.append(`; itself ${unitText(metric.self[node], metric.unit)}`);
    }
  }

  function place(node, x, width, depth, scale) {
    drawn.set(node, { x, width, depth });
    let next = x;
    const list = children[node].filter((child) => sums.width[child] * scale >= FLAME_LEAST);
    list.sort((a, b) => sums.width[b] - sums.width[a] || a - b);
    for (const child of list) {
      place(child, next, sums.width[child] * scale, depth + 1, scale);
      next += sums.width[child] * scale;
    }
  }

  function drawNode(node, spot) {
    const room = Math.floor((spot.width - 7) / 6.7);
    const name = flameName(data, node);
    const words = room < 2 ? '' : name.length <= room ? name : name.slice(0, room - 1) + '…';
    const names = [flameClass(data, sums, node), 'node'];
    if (matches(node)) names.push('hit');
    else if (wanted) names.push('miss');
    if (node === at) names.push('at');
    return svg('g', { class: names.join(' '), 'data-node': node },
      svg('rect', { x: spot.x.toFixed(2), y: spot.depth * FLAME_ROW, width: Math.max(spot.width - 0.8, 0.4).toFixed(2), height: FLAME_ROW - 1, rx: 2 }),
      words && svg('text', { x: (spot.x + 4).toFixed(2), y: spot.depth * FLAME_ROW + 13 }, words));
  }

  function draw() {
    const width = Math.max(scroller.clientWidth, 300);
    const above = [];
    for (let node = zoomed; node !== 0;) above.unshift(node = data.parent[node]);
    drawn = new Map();
    above.forEach((node, depth) => drawn.set(node, { x: 0, width, depth, above: true }));
    if (sums.width[zoomed] > 0) place(zoomed, 0, width, above.length, width / sums.width[zoomed]);
    let deepest = 0;
    const groups = [];
    for (const [node, spot] of drawn) {
      const group = drawNode(node, spot);
      if (spot.above) group.classList.add('above');
      deepest = Math.max(deepest, spot.depth);
      groups.push(group);
    }
    picture.setAttribute('viewBox', `0 0 ${width} ${(deepest + 1) * FLAME_ROW}`);
    picture.replaceChildren(...groups);
    if (groups.length === 0) picture.append(svg('text', { x: 4, y: 13 }, 'Nothing to show.'));
    reset.disabled = zoomed === 0;
    note.textContent = (options.note && options.note[metric.key]) || '';
  }

  function move(node) {
    if (node === undefined || !drawn.has(node)) return;
    for (const old of picture.querySelectorAll('.at')) old.classList.remove('at');
    at = node;
    const group = picture.querySelector(`[data-node="${node}"]`);
    if (group) group.classList.add('at');
    describe(node);
    const top = drawn.get(node).depth * FLAME_ROW;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + FLAME_ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + FLAME_ROW - scroller.clientHeight;
  }

  function zoom(node) {
    zoomed = node;
    at = node;
    draw();
    describe(node);
    scroller.scrollTop = 0;
  }

  function setMetric(key) {
    metric = data.metrics.find((one) => one.key === key) || metric;
    metrics.show(metric.key);
    sums = flameSums(data, metric);
    if (sums.width[zoomed] === 0) zoomed = 0;
    draw();
    doSearch(search.value);
  }

  /* What is found, each stack counted once. */
  function foundSum() {
    let sum = 0;
    const inside = new Uint8Array(data.parent.length);
    for (let i = 1; i < data.parent.length; i++) {
      inside[i] = inside[data.parent[i]];
      if (!inside[i] && matches(i)) {
        inside[i] = 1;
        sum += sums.after[i];
      }
    }
    return sum;
  }

  function doSearch(text) {
    search.value = text;
    wanted = text.trim().toLowerCase();
    for (const group of picture.querySelectorAll('.node')) {
      const hit = matches(Number(group.dataset.node));
      group.classList.toggle('hit', hit);
      group.classList.toggle('miss', Boolean(wanted) && !hit);
    }
    const sum = wanted ? foundSum() : 0;
    found.textContent = wanted ? `found: ${unitText(sum, metric.unit)}, ${percentText(sum, sums.after[0])}` : '';
  }

  /* The neighbour in the same row, by its place in the picture. */
  function beside(node, step) {
    const depth = drawn.get(node).depth;
    const row = [...drawn].filter(([, spot]) => spot.depth === depth).sort((a, b) => a[1].x - b[1].x).map(([other]) => other);
    return row[row.indexOf(node) + step];
  }

  function onKey(event) {
    if (!drawn.has(at)) at = zoomed;
    const actions = {
      ArrowUp: () => at !== 0 && move(data.parent[at]),
      ArrowDown: () => move([...drawn.keys()].find((node) => node !== 0 && data.parent[node] === at)),
      ArrowLeft: () => move(beside(at, -1)),
      ArrowRight: () => move(beside(at, 1)),
      Enter: () => zoom(at),
      Escape: () => zoom(0),
      Backspace: () => zoom(zoomed === 0 ? 0 : data.parent[zoomed]),
      Home: () => move(zoomed),
    };
    if (!Object.hasOwn(actions, event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  }

  const nodeOf = (event) => {
    const group = event.target.closest && event.target.closest('[data-node]');
    return group ? Number(group.dataset.node) : null;
  };
  picture.addEventListener('click', (event) => nodeOf(event) !== null && zoom(nodeOf(event)));
  picture.addEventListener('pointerover', (event) => describe(nodeOf(event)));
  picture.addEventListener('keydown', onKey);
  picture.addEventListener('focus', () => describe(at));
  let width = 0;
  new ResizeObserver(() => {
    if (scroller.clientWidth !== width) {
      width = scroller.clientWidth;
      draw();
    }
  }).observe(scroller);
  draw();
  return { metric: setMetric, search: doSearch, zoom };
}
