// Making elements, and keeping lists of them in step with lists of rows. Text of strangers is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
/** A loudspeaker that is heard, for `drawing`. */
export const SPEAKER = "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

/**
 * Lines on a grid of 24, in the colour of the text.
 * @param {string} lines
 */
export function drawing(lines) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("lknb-drawing");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", lines);
  svg.append(path);
  return svg;
}

/**
 * Write a text only when it is another: what is written anew loses the selection, and a live region speaks.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keep the keys pressed on controls of ours to them: a notebook in command mode takes arrows and letters for commands, of
 * which some delete cells. Combinations with Ctrl and the like, Escape and Shift-Enter remain the notebook's.
 * @param {HTMLElement} root
 */
export function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    const theirs = ctrlKey || metaKey || altKey || key === "Escape" || (shiftKey && key === "Enter");
    if (!theirs) event.stopPropagation();
  });
}

/**
 * Elements of a parent, one for each key, in the order of the keys. An element that stays keeps its place in the page, and so
 * the focus.
 * @template Item
 */
export class ElementList {
  /**
   * @param {HTMLElement} parent
   * @param {(key: string) => Item & { element: HTMLElement }} create
   */
  constructor(parent, create) {
    this.parent = parent;
    this.create = create;
    /** @type {Map<string, Item & { element: HTMLElement }>} */
    this.items = new Map();
  }

  /**
   * @param {string[]} keys
   * @param {(item: Item, index: number) => void} update
   */
  show(keys, update) {
    const gone = new Set(this.items.keys());
    keys.forEach((key) => gone.delete(key));
    gone.forEach((key) => {
      this.items.get(key)?.element.remove();
      this.items.delete(key);
    });
    keys.forEach((key, index) => {
      const item = this.items.get(key) ?? this.create(key);
      this.items.set(key, item);
      const there = this.parent.children[index];
      if (there !== item.element) this.parent.insertBefore(item.element, there ?? null);
      update(item, index);
    });
  }
}
