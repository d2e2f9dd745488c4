/* sites.js: who pins it: the table of sites, sorted by any column; what to fix first; and for the
 * chosen site its stacks. Choosing one tells `chosen`, which the map follows.
 */
'use strict';

const SITES_FIRST = 15;
const STACKS_MOST = 9;

/* One value that several parts follow. */
function signal(value) {
  const followers = [];
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const follower of followers) follower(next);
    },
    follow: (follower) => followers.push(follower),
  };
}

/* "2.2 s to 9.6 s", or one time, of a site's survivors; "" where none was recorded. */
function agesText(data, site) {
  const now = data.process.since_start_ns;
  if (site.oldest_since_start_ns === undefined || site.oldest_since_start_ns > now) return '';
  const [youngest, oldest] = [now - site.youngest_since_start_ns, now - site.oldest_since_start_ns].map(timeText);
  return youngest === oldest ? oldest : `${youngest} to ${oldest}`;
}

const SITE_COLUMNS = [
  { key: 'held', label: 'Held', title: 'free bytes on pages with its survivors, its equal part of them', value: (site) => site.held_share.bytes, text: (site) => estimateText(site.held_share) },
  { key: 'part', label: 'Part', title: 'of all pinned bytes', value: (site) => site.held_share.bytes, text: (site, data) => percentText(site.held_share.bytes, data.verdict.pinned_bytes) },
  { key: 'sole', label: 'Alone', title: 'free bytes on pages where only it has survivors', value: (site) => site.sole_pin.bytes, text: (site) => estimateText(site.sole_pin) },
  { key: 'pages', label: 'RSS alone', title: 'these pages whole: what RSS falls by without it', value: (site) => site.sole_pin_resident.bytes, text: (site) => estimateText(site.sole_pin_resident) },
  { key: 'live', label: 'Live', title: 'bytes in its live blocks', value: (site) => site.live.bytes, text: (site) => estimateText(site.live) },
  { key: 'blocks', label: 'Blocks', title: 'live blocks', value: (site) => site.live_blocks, text: (site) => countText(site.live_blocks) },
  { key: 'age', label: 'Age', title: 'of its live blocks, youngest to oldest; sorted by the oldest', value: (site, data) => (site.oldest_since_start_ns === undefined ? -1 : data.process.since_start_ns - site.oldest_since_start_ns), text: (site, data) => agesText(data, site) },
  { key: 'peak', label: 'At peak', title: 'live bytes when those of all sites were highest', value: (site) => site.peak_bytes, text: (site) => bytesText(site.peak_bytes) },
];

function birthsPicture(site, data) {
  const most = Math.max(...site.born_blocks);
  if (!(most > 0)) return null;
  const since = data.recording.since_ns;
  const bars = site.born_blocks.map((blocks, i) => svg('rect', { class: 'fill c-live', x: i * 16 + 1, y: 30 - (blocks * 28) / most, width: 14, height: (blocks * 28) / most },
    svg('title', {}, `${countText(blocks)} blocks`)));
  return el('div', {}, el('p', { class: 'soft' }, `Births of its live blocks, ${timeText(since)} to ${timeText(data.process.since_start_ns)} after the start:`),
    svg('svg', { class: 'births', viewBox: '0 0 256 32', preserveAspectRatio: 'none', role: 'img', 'aria-label': 'Births over time' }, bars, svg('line', { class: 'axis', x1: 0, x2: 256, y1: 31, y2: 31 })));
}

/* Nodes of the flame graph where a stack of the site ends, the one that holds the most first. */
function stacksOf(data, place) {
  const { flame } = data;
  const [held, live] = ['held', 'live'].map((key) => flame.metrics.find((metric) => metric.key === key).self);
  const all = [];
  for (let i = 1; i < flame.site.length; i++) if (flame.site[i] === place + 1) all.push(i);
  /* Those that have nothing now are of interest only where all are such. */
  const some = all.filter((end) => held[end] + live[end] > 0);
  return (some.length > 0 ? some : all.slice(0, 1)).sort((a, b) => held[b] - held[a] || live[b] - live[a]);
}

function stackBox(data, end) {
  const { flame } = data;
  const value = (key) => flame.metrics.find((metric) => metric.key === key).self[end];
  const list = el('ol');
  for (let node = end; node !== 0; node = flame.parent[node]) {
    const [name, place, library] = flame.frames[flame.frame[node]];
    list.append(el('li', {}, name, ' ', el('span', { class: 'soft' }, place, library ? ` [${library}]` : '')));
  }
  return el('div', { class: 'stack' }, el('b', {}, bytesText(value('held'))), ' held, ', el('b', {}, bytesText(value('live'))), ' live', list);
}

function siteDetails(data, place, showInFlame) {
  const site = data.sites[place];
  const ends = stacksOf(data, place);
  const left = site.stacks - Math.min(ends.length, STACKS_MOST);
  const about = site.live_samples > 0 && agesText(data, site)
    ? `${site.live.exact ? '' : 'About '}${countText(site.live_blocks)} live blocks, ${agesText(data, site)} old` +
      (site.born_near_peak_percent !== undefined ? `; ${site.born_near_peak_percent} % born around the peak (${site.near_peak_time_percent} % of the time)` : '') + '.'
    : 'No live block of it is recorded.';
  return el('div', { class: 'details' }, el('p', {}, about, ' ',
    site.function && el('button', { type: 'button', class: 'to-flame', onclick: () => showInFlame(site.function) }, 'Find in the flame graph')),
  birthsPicture(site, data),
  el('p', { class: 'soft' }, ends.length === 0 ? 'Its stack is not recorded.' : 'Its stacks, innermost function first:'),
  el('div', { class: 'stacks' }, ends.slice(0, STACKS_MOST).map((end) => stackBox(data, end))),
  left > 0 && ends.length > 0 && el('p', { class: 'soft' }, left === 1 ? 'One stack more has less, or nothing.' : `${countText(left)} stacks more have less, or nothing.`));
}

function drawPlan(element, data, chosen) {
  element.append(el('h3', {}, 'What to fix first'));
  if (data.plan.length === 0) {
    element.append(el('p', {}, 'No eight of them have a page to themselves: on every page with survivors there are more, or blocks that are not recorded.'));
    return;
  }
  const before = [];
  const steps = data.plan.map((step) => {
    const line = el('li', {}, before.length ? 'then ' : '', step.add_sites.map((place, i) => [i > 0 ? ' and ' : '',
      el('button', { type: 'button', onclick: () => chosen.set(place) }, step.add_names[i])]),
    ': in all RSS falls by ', el('b', {}, estimateText(step.rss_falls_by)), `; ${estimateText(step.held)} of it free bytes, ${estimateText(step.spans_resident)} large blocks`);
    before.push(...step.add_sites);
    return line;
  });
  element.append(el('p', { class: 'soft' }, 'Whose live blocks, gone, let the most memory go back; each step with those before it.'), el('ol', { class: 'plan' }, steps));
}

function methodText(data) {
  const { recording, held } = data;
  if (recording.chosen_pinned_pages === 0) return 'No page whose blocks are known by site holds free memory.';
  if (held.exact) return 'Exact: the site of every block on these pages is looked at.';
  return `Estimated from ${countText(recording.chosen_pinned_pages)} pages chosen at random of ${countText(recording.pinned_pages)} with pinned bytes; ± is one standard error, and what has ~ rests on too few of them. ` +
    'With sites=all (tidemark start --all PID) it is counted instead.';
}

/* Rows behind the table that sum to the pinned bytes, as in the text report. */
function restRows(data, columns) {
  const { held } = data;
  const listed = data.sites.filter((site) => site.recorded).reduce((sum, site) => sum + site.held_share.bytes, 0);
  const rows = [
    [held.charged_bytes - listed, `${countText(data.site_groups - data.sites.length + 1)} sites more that are not listed`],
    [held.not_recorded_bytes, 'blocks that are not recorded'],
    [held.older_pools_bytes, 'in pools that are older than the recording, or were taken while it was off'],
    [held.unchosen_sizes_bytes, 'in pools of block sizes none of which was chosen'],
    [held.inconsistent_bytes, 'by which the snapshot\'s count of pages and its charges contradict each other'],
  ];
  return rows.filter(([bytes]) => bytes !== 0).map(([bytes, words]) => el('tr', { class: 'rest' }, el('td', {}, words), el('td', { class: 'n' }, bytesText(bytes)),
    el('td', { class: 'n' }, percentText(bytes, held.pinned_bytes)), el('td', { colspan: columns - 2 })))
    .concat(el('tr', {}, el('td', {}, el('b', {}, 'pinned, as in the ledger')), el('td', { class: 'n' }, el('b', {}, bytesText(held.pinned_bytes))), el('td', { class: 'n' }, '100 %'), el('td', { colspan: columns - 2 })));
}

function drawSites(element, data, chosen, showInFlame) {
  if (!data.recording.recorded || data.sites.length === 0) {
    element.append(el('p', {}, data.verdict.sites_note || 'No call sites were recorded.'));
    return;
  }
  let sort = SITE_COLUMNS.find((column) => column.key === data.sorted_by) || SITE_COLUMNS[0];
  let down = true;
  let all = false;
  let wanted = '';
  const headers = SITE_COLUMNS.map((column) => el('th', { class: 'n', title: column.title, scope: 'col' }, el('button', { type: 'button', 'data-sort': column.key,
    onclick: () => {
      down = sort === column ? !down : true;
      sort = column;
      draw();
    } }, column.label)));
  const body = el('tbody');
  const more = el('button', { type: 'button', class: 'more', onclick: () => { all = !all; draw(); } });
  const filter = el('input', { type: 'search', placeholder: 'Filter sites by name', 'aria-label': 'Filter sites by name', oninput: () => { wanted = filter.value.trim().toLowerCase(); draw(); } });
  const numbered = data.sites.map((site, place) => ({ site, place })).filter(({ site }) => site.recorded);

  function row({ site, place }) {
    const isChosen = chosen.get() === place;
    const line = el('tr', { class: isChosen ? 'chosen' : null, 'data-place': place }, el('td', { class: 'name' }, el('button', { type: 'button', 'aria-expanded': String(isChosen),
      onclick: () => chosen.set(isChosen ? null : place) }, site.name)),
    SITE_COLUMNS.map((column) => el('td', { class: 'n' }, column.text(site, data))));
    return isChosen ? [line, el('tr', { class: 'about' }, el('td', { colspan: SITE_COLUMNS.length + 1 }, siteDetails(data, place, showInFlame)))] : [line];
  }

  function draw() {
    headers.forEach((header, i) => {
      if (SITE_COLUMNS[i] === sort) header.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      else header.removeAttribute('aria-sort');
    });
    const rows = numbered.filter(({ site }) => !wanted || [site.name, site.file, site.module].some((text) => text && text.toLowerCase().includes(wanted)))
      .sort((a, b) => (down ? -1 : 1) * (sort.value(a.site, data) - sort.value(b.site, data)) || a.place - b.place);
    const shown = rows.filter(({ place }, i) => all || i < SITES_FIRST || place === chosen.get());
    body.replaceChildren(...shown.flatMap(row), ...restRows(data, SITE_COLUMNS.length + 1));
    more.textContent = all ? `Show the first ${SITES_FIRST}` : `Show all ${countText(rows.length)}`;
    more.hidden = rows.length <= SITES_FIRST;
  }

  element.append(el('p', { class: 'soft' }, 'The free bytes of each page with live blocks are charged to these in equal parts. ', methodText(data)),
    data.verdict.sites_note && el('p', { class: 'soft' }, data.verdict.sites_note),
    el('div', { class: 'controls' }, filter, more, el('span', { class: 'soft' }, 'Choose a site for its stacks, and its pages in the map.')),
    el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, `Site (${data.grouped_by})`), headers)), body)));
  chosen.follow((place) => {
    const focused = document.activeElement && document.activeElement.closest('#sites td.name');
    draw();
    if (focused && place !== null) body.querySelector(`[data-place="${place}"] button`).focus();
  });
  draw();
  drawPlan(element, data, chosen);
}
