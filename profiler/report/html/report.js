/* report.js: puts the page together from its data, in the order in which a report answers. Comes
 * last.
 */
'use strict';

function section(page, nav, id, title) {
  const element = el('section', { id, 'aria-labelledby': id + '-title' }, el('h2', { id: id + '-title' }, title));
  nav.append(el('a', { href: '#' + id }, title));
  page.append(element);
  return element;
}

function head(data) {
  const { process } = data;
  const name = process.exe.split('/').pop() || process.command[0] || 'a process';
  document.title = plain(`${name} (${process.pid}): Tidemark report`);
  const when = new Date(process.realtime_ns / 1e6).toISOString().replace('T', ' ').replace(/\..*/, ' UTC');
  return el('header', {}, el('h1', {}, `${name}, process ${process.pid}`), el('p', { class: 'subtitle' }, el('code', {}, process.command.join(' ').slice(0, 400))),
    el('p', { class: 'subtitle' }, `Snapshot ${process.snapshot_number}, taken ${when}, ${timeText(process.since_start_ns)} after the start; ${countText(process.threads)} thread${process.threads === 1 ? '' : 's'}; highest RSS ${bytesText(process.peak_rss_bytes)}.`));
}

function drawCost(element, data) {
  const { cost, recording } = data;
  const rows = [[bytesText(cost.metadata_resident_bytes), 'resident, kept by the allocator and the profiler (in the ledger)'], [bytesText(cost.library_resident_bytes), 'resident, code and data of the library'],
    [timeText(cost.pause_ns), 'for which the snapshot stopped the program'], [timeText(cost.walk_ns), 'for which a copy of the process walked the heap meanwhile'], [bytesText(cost.file_bytes), 'snapshot file']];
  if (recording.recorded) {
    rows.push([bytesText(recording.memory_bytes), `resident, for call sites (sites=${recording.sites}${recording.sites === 'sample' ? `, one block of each ${bytesText(recording.rate_bytes)}` : ''})`],
      [`${countText(recording.sites_used)} of ${countText(recording.site_limit)}`, 'sites'], [`${countText(recording.frames)} of ${countText(recording.frame_limit)}`, 'frames']);
    if (recording.missed > 0) rows.push([countText(recording.missed), 'allocations that were to be recorded and were not']);
  }
  element.append(el('table', {}, el('tbody', {}, rows.map(([figure, words]) => el('tr', {}, el('td', { class: 'n' }, figure), el('td', {}, words))))),
    el('p', { class: 'soft' }, `Made by tidemark ${data.tidemark_version} from a snapshot of library ${data.process.library_version}. This page is one file and loads nothing.`));
}

function drawStacks(element, data) {
  if (!data.recording.recorded || data.flame.parent.length < 2) {
    element.append(el('p', {}, data.verdict.sites_note || 'No call sites were recorded.'));
    return null;
  }
  element.append(el('p', { class: 'soft' }, `Callers above what they call; as wide as what their stacks have${data.recording.exact ? '' : ', estimated from samples'}. Colours tell libraries apart. A click or Enter zooms.`));
  return flameGraph(element, data.flame, { metric: 'held', note: {
    held: 'Free bytes on pages with live blocks, charged to these in equal parts.',
    sole: 'Free bytes on pages where one stack alone has survivors: the least that its function holds alone, since a page whose survivors are of two of its stacks is in neither.',
    peak: 'Live bytes when those of all sites were highest.',
    temporary: 'Blocks that the thread that allocated them freed before it allocated another that is recorded.',
  } });
}

function drawReport(data) {
  const page = document.getElementById('page');
  const nav = el('nav', { 'aria-label': 'Sections' });
  const chosen = signal(null);
  const chosenClass = signal(null);
  let flame = null;
  const showInFlame = (name) => {
    if (flame === null) return;
    flame.search(name);
    document.getElementById('stacks').scrollIntoView();
  };
  page.append(head(data), nav);
  drawVerdict(section(page, nav, 'verdict', 'Verdict'), data);
  drawLedger(section(page, nav, 'ledger', 'Ledger'), data);
  drawSites(section(page, nav, 'sites', 'Who pins it'), data, chosen, showInFlame);
  drawMap(section(page, nav, 'map', 'Arena map'), data, chosen, chosenClass);
  drawClasses(section(page, nav, 'classes', 'Occupancy'), data, chosenClass);
  flame = drawStacks(section(page, nav, 'stacks', 'Stacks'), data);
  drawTimeline(section(page, nav, 'timeline', 'Timeline'), data);
  drawCost(section(page, nav, 'cost', 'Tidemark\'s cost'), data);
}

drawReport(JSON.parse(document.getElementById('data').textContent));
