/* dom.js: what every part of the page uses: making elements and putting figures into words. Text of
 * the snapshot becomes text nodes and attributes and is never parsed as HTML, whatever it holds.
 */
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

/* An element: el('td', {class: 'n', onclick: f}, 'text', child, …). Attributes that are null or
 * false are left out, those that start with "on" are listeners. Children may be lists. */
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : plain(value));
  }
  const shown = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  node.append(...shown.map((child) => (child instanceof Node ? child : plain(child))));
  return node;
}

/* Text as the text report escapes it: without characters that cannot be seen, or that turn round what stands beside them. */
function plain(text) {
  return String(text).replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\ufffb\u{e0000}-\u{10ffff}]/gu,
    (character) => {
      const hex = character.codePointAt(0).toString(16);
      return character < '\u0080' ? '\\x' + hex.padStart(2, '0') : `\\u{${hex.padStart(4, '0')}}`;
    });
}

/* Words are those of the text report. */
function bytesText(value) {
  const sign = value < 0 ? '-' : '';
  let size = Math.abs(value);
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  /* 1023.95 would show as 1024.0 of a unit that has a larger one. */
  while (size >= (unit === 0 ? 1024 : 1023.95) && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return sign + (unit === 0 ? Math.round(size).toString() : size.toFixed(1)) + ' ' + units[unit];
}

function countText(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

function percentText(part, whole) {
  if (!whole) return '-';
  const percent = (100 * part) / whole;
  const size = Math.abs(percent);
  const fine = (size > 0 && size < 9.95) || (size > 99 && size < 99.95);
  return percent.toFixed(fine ? 1 : 0) + ' %';
}

function timeText(ns) {
  const seconds = Math.floor(ns / 1e9);
  if (ns === 0) return '0 s';
  if (ns < 1e3) return ns + ' ns';
  if (ns < 1e6) return (ns / 1e3).toFixed(1) + ' us';
  if (ns < 1e9) return (ns / 1e6).toFixed(1) + ' ms';
  if (seconds < 120) return (ns / 1e9).toFixed(1) + ' s';
  if (seconds < 7200) return Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
  if (seconds < 172800) return Math.floor(seconds / 3600) + ' h ' + (Math.floor(seconds / 60) % 60) + ' min';
  return Math.floor(seconds / 86400) + ' d ' + (Math.floor(seconds / 3600) % 24) + ' h';
}

/* An estimate of --json: "22.8 MiB ±1.0", the error in the figure's unit; "~22.8 MiB" where too few
 * samples tell of it. */
function estimateText(estimate) {
  if (estimate.exact || !estimate.standard_error) return bytesText(estimate.bytes);
  if (estimate.too_few) return '~' + bytesText(estimate.bytes);
  let unit = 1;
  while (estimate.bytes / unit >= 1024) unit *= 1024;
  const error = estimate.standard_error / unit;
  return bytesText(estimate.bytes) + ' ±' + (unit === 1 ? Math.round(error) : error.toFixed(1));
}

function unitText(value, unit) {
  return unit === 'blocks' ? countText(value) + ' blocks' : bytesText(value);
}

/* A row of buttons of which one is pressed. choices: [key, label] pairs. show(key) presses one
 * without choosing it. */
function choiceButtons(label, choices, chosen, choose) {
  const group = el('div', { class: 'choice', role: 'group', 'aria-label': label });
  const show = (key) => { for (const button of group.children) button.setAttribute('aria-pressed', String(button.dataset.key === key)); };
  group.show = show;
  for (const [key, words] of choices) {
    group.append(el('button', {
      type: 'button', 'data-key': key, 'aria-pressed': String(key === chosen),
      onclick: () => {
        show(key);
        choose(key);
      },
    }, words));
  }
  return group;
}
