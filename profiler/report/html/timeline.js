/* timeline.js: what the allocator had taken over time, with its peak, and RSS, live and held of the
 * snapshot at the end. Between snapshots there is no RSS: the curve is of the allocator's own
 * counters.
 */
'use strict';

const TIME_PARTS = [['pool_bytes', 'live', 'in pools, their free blocks included'], ['span_bytes', 'live2', 'in spans'], ['mapping_bytes', 'live3', 'in mappings'], ['cached_bytes', 'cached', 'cached']];
const TIME_BOX = { left: 70, top: 22, width: 900, height: 210, right: 150 };

function takenAt(moment) {
  return TIME_PARTS.reduce((sum, [key]) => sum + moment[key], 0);
}

function niceStep(most) {
  let step = 2 ** Math.floor(Math.log2(Math.max(most, 4) / 4));
  if (most / step > 6) step *= 2;
  return step;
}

function drawTimeline(element, data) {
  const { moments } = data.timeline;
  if (moments.length === 0) {
    element.append(el('p', {}, 'The snapshot has no timeline.'));
    return;
  }
  const { left, top, width, height, right } = TIME_BOX;
  const start = moments[0].since_start_ns;
  const end = Math.max(data.process.since_start_ns, moments[moments.length - 1].since_start_ns, start + 1);
  const peakRss = data.process.peak_rss_bytes;
  const most = Math.max(data.timeline.peak_bytes, data.rss_bytes, peakRss, 1);
  const x = (ns) => left + ((ns - start) * width) / (end - start);
  const y = (bytes) => top + height - (bytes * height) / most;
  const layers = [];
  const base = moments.map(() => 0);
  for (const [key, colour] of TIME_PARTS) {
    const lower = [], upper = [];
    moments.forEach((moment, i) => {
      /* A moment holds until the next one. */
      const until = x(i + 1 < moments.length ? moments[i + 1].since_start_ns : end).toFixed(1);
      const from = x(moment.since_start_ns).toFixed(1);
      lower.push(`${from},${y(base[i]).toFixed(1)}`, `${until},${y(base[i]).toFixed(1)}`);
      base[i] += moment[key];
      upper.push(`${from},${y(base[i]).toFixed(1)}`, `${until},${y(base[i]).toFixed(1)}`);
    });
    layers.push(svg('polygon', { class: 'fill c-' + colour, points: upper.concat(lower.reverse()).join(' ') }));
  }
  const grid = [];
  for (let bytes = 0; bytes <= most; bytes += niceStep(most)) {
    grid.push(svg('line', { class: 'axis', x1: left, x2: left + width, y1: y(bytes), y2: y(bytes) }), svg('text', { x: left - 6, y: y(bytes) + 4, 'text-anchor': 'end' }, bytesText(bytes)));
  }
  const peakX = x(data.timeline.peak_since_start_ns);
  const peak = [svg('path', { class: 'mark', d: `M${peakX} ${y(data.timeline.peak_bytes)} l-5 -8 h10 z` }),
    svg('text', { class: 'peak', x: peakX, y: y(data.timeline.peak_bytes) - 11, 'text-anchor': peakX > left + width / 2 ? 'end' : 'start' }, `peak ${bytesText(data.timeline.peak_bytes)} at ${timeText(data.timeline.peak_since_start_ns)}`)];
  const now = [['RSS', data.rss_bytes], ['live', data.verdict.live_bytes], ['held', data.verdict.held_bytes]].sort((a, b) => b[1] - a[1]);
  let lowest = -Infinity;
  const marks = now.map(([name, bytes]) => {
    const at = Math.max(y(bytes), lowest + 13);
    lowest = at;
    return [svg('circle', { class: 'mark', cx: left + width, cy: y(bytes), r: 3 }), svg('text', { x: left + width + 8, y: at + 4 }, `${name} ${bytesText(bytes)}`)];
  });
  const highest = peakRss > 0 ? [svg('line', { class: 'guide', x1: left, x2: left + width, y1: y(peakRss), y2: y(peakRss) }), svg('text', { x: left + 4, y: y(peakRss) - 4 }, `highest RSS ${bytesText(peakRss)}`)] : [];
  const cursor = svg('line', { class: 'guide', y1: top, y2: top + height, visibility: 'hidden' });
  const readout = el('p', { class: 'readout', 'aria-live': 'polite' });
  const picture = svg('svg', { class: 'time', viewBox: `0 0 ${left + width + right} ${top + height + 26}`, tabindex: '0', role: 'application', 'aria-label': 'Timeline. Left and right arrow keys move through the moments.' },
    grid, layers, highest, peak, marks, svg('text', { x: left, y: top + height + 18 }, timeText(start)), svg('text', { x: left + width, y: top + height + 18, 'text-anchor': 'end' }, timeText(end)), cursor);
  let at = moments.length - 1;
  function show(i) {
    at = Math.min(Math.max(i, 0), moments.length - 1);
    cursor.setAttribute('x1', x(moments[at].since_start_ns));
    cursor.setAttribute('x2', x(moments[at].since_start_ns));
    cursor.setAttribute('visibility', 'visible');
    readout.replaceChildren(el('b', {}, timeText(moments[at].since_start_ns)), ` taken ${bytesText(takenAt(moments[at]))}: `, TIME_PARTS.map(([key, , words]) => `${bytesText(moments[at][key])} ${words}`).join(', '),
      `; given back since the start ${bytesText(moments[at].purged_bytes)}.`);
  }
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    const ns = start + ((((event.clientX - box.left) * (left + width + right)) / box.width - left) * (end - start)) / width;
    let i = 0;
    while (i + 1 < moments.length && moments[i + 1].since_start_ns <= ns) i++;
    show(i);
  });
  picture.addEventListener('keydown', (event) => {
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: moments.length - 1 };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    show(steps[event.key]);
  });
  element.append(el('div', { class: 'legend' }, TIME_PARTS.map(([, colour, words]) => el('span', {}, el('span', { class: 'swatch c-' + colour }), words))), picture, readout,
    el('p', { class: 'soft' }, 'The curve is of the allocator\'s own counters; RSS, live and held are known at the snapshot, at the right edge, and the highest RSS from the kernel.'));
}
