/**
 * The only place that makes nodes. Everything that is shown goes through `tame`: text is a text node, and what was recorded
 * can neither become markup nor hide what stands beside it.
 */

/** Most characters of one text. */
export const LONGEST = 4096;

// Control characters but tab and line feed, direction and zero-width characters, and other invisible ones.
const WILD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** @param {string} c */
function picture(c) {
  const code = c.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '␡';
  return `⟨${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
}

/**
 * Returns a text as it may be shown: control, direction and zero-width characters as pictures, and no longer than `most`.
 * @param {unknown} text @param {number} [most]
 */
export function tame(text, most = LONGEST) {
  let shown = String(text);
  if (shown.length > most) shown = `${shown.slice(0, most)}… (${(shown.length - most).toLocaleString('en-US')} more)`;
  return shown.replace(WILD, picture);
}

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'g', 'path', 'rect', 'line', 'circle', 'text', 'title', 'defs', 'marker', 'polygon']);
/** The attributes that an element may be given. */
const ATTRIBUTES =
  /^(aria-[a-z]+|data-[a-z-]+|role|id|class|title|type|value|name|for|tabindex|placeholder|autocomplete|spellcheck|colspan|scope|accept|x|y|x1|x2|y1|y2|cx|cy|r|rx|d|width|height|viewBox|points|marker-end|orient|refX|refY|markerWidth|markerHeight|text-anchor|stroke-width|stroke-dasharray|preserveAspectRatio|min|max|maxlength|rel|target|download)$/;

/**
 * Makes an element. Children are nodes, texts, or lists of them; what is null or false is left out.
 * @param {string} tag
 * @param {Record<string, any> | null} [props] attributes; `on` holds listeners; properties of the element begin with a dot
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const svg = SVG_TAGS.has(tag) && tag !== 'title';
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, /** @type {any} */ (listener));
    } else if (name === 'href') {
      if (isOwn(value)) node.setAttribute('href', value);
    } else if (name === 'checked' || name === 'disabled' || name === 'selected' || name === 'hidden' || name === 'open') {
      node.toggleAttribute(name, true);
    } else if (ATTRIBUTES.test(name)) {
      node.setAttribute(name, value === true ? '' : tame(value));
    } else {
      throw new Error(`h() sets no attribute ${name}`);
    }
  }
  add(node, children);
  return node;
}

/** Whether an address leads to the hub itself. @param {string} address */
function isOwn(address) {
  return /^(\/(?!\/)|\?|#)/.test(address) || address.startsWith('blob:');
}

/** @param {Node} node @param {any} child */
function add(node, child) {
  if (child === null || child === undefined || child === false || child === true) return;
  if (Array.isArray(child)) for (const one of child) add(node, one);
  else if (child instanceof Node) node.appendChild(child);
  else node.appendChild(document.createTextNode(tame(child)));
}

/** Puts children in the place of those that a node has. @param {Element} node @param {...any} children */
export function fill(node, ...children) {
  const fresh = document.createDocumentFragment();
  add(fresh, children);
  node.replaceChildren(fresh);
}

/** Sets the text of a node, if it is another one. @param {Node} node @param {unknown} text */
export function say(node, text) {
  const shown = tame(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/**
 * A button.
 * @param {any} label @param {(event: Event) => void} press @param {Record<string, any>} [props]
 */
export function button(label, press, props = {}) {
  return h('button', { type: 'button', ...props, on: { click: press } }, label);
}

/** An outside address as a link that shows where it goes, or as text. @param {string} address */
export function outside(address) {
  if (!/^https?:\/\/[^\s]+$/i.test(address)) return h('span', null, address);
  const link = h('a', { rel: 'noreferrer noopener', target: '_blank', class: 'mono' }, address);
  link.href = address;
  return link;
}

/** Pieces of a summary as nodes. @param {[string, string][]} pieces */
export function pieces(pieces) {
  return pieces.filter((piece) => piece[1] !== '').map(([kind, text]) => (kind ? h('span', { class: kind }, text) : text));
}
