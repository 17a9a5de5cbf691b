// Dialogs, hold-to-confirm and small DOM helpers.
import { t, fill } from "./texts.js";

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") (node.dataset.text = value), (node.textContent = t(value, attributes.values));
    else if (name === "values") node.dataset.values = JSON.stringify(value);
    else if (name === "label") (node.dataset.label = value), node.setAttribute("aria-label", t(value));
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const DRAWINGS = {
  ok: '<circle cx="12" cy="12" r="10"/><path d="M7 12.5l3.4 3.5L17 8.8"/>',
  ng: '<path d="M8 2h8l6 6v8l-6 6H8l-6-6V8z"/><path d="M8.5 8.5l7 7m0-7l-7 7"/>',
  review: '<path d="M12 1.5L22.5 12 12 22.5 1.5 12z"/><path d="M9.4 9.6a2.7 2.7 0 115 1.4c-.6 1-2.4 1.5-2.4 3M12 17.2v.1"/>',
  none: '<circle cx="12" cy="12" r="10" stroke-dasharray="3.4 2.9"/><path d="M7.5 12h9"/>',
  gone: '<circle cx="12" cy="12" r="10"/><path d="M12 6.5v7M12 17.2v.1"/>',
  wait: '<circle cx="12" cy="12" r="10"/><path d="M12 6.5V12l3.6 2.4"/>',
  stop: '<rect x="5" y="5" width="14" height="14" rx="1.5"/>',
  swap: '<path d="M4 8h14l-4-4M20 16H6l4 4"/>',
  batch: '<path d="M19.5 12a7.5 7.5 0 11-2.4-5.5M18 2.5v4.3h-4.3"/>',
  rabbit: '<path d="M12 2l8 3v6c0 5-3.4 9-8 11-4.6-2-8-6-8-11V5z"/><path d="M8.5 12l2.5 2.6 4.6-5"/>',
  slipped: '<path d="M3 12h11M10 7l5 5-5 5"/><path d="M18 4v16"/><path d="M21.5 4v16"/>',
  good: '<path d="M3 12h6"/><path d="M6 9l3 3-3 3"/><circle cx="16.5" cy="12" r="5.5"/><path d="M14 12.3l1.7 1.7 3.2-3.6"/>',
  phone: '<path d="M5 3.5h4l1.6 4.4-2.2 1.7a12 12 0 006 6l1.7-2.2 4.4 1.6v4c0 1-1 1.7-2 1.6C10.3 19.6 4.4 13.7 3.4 5.5 3.3 4.5 4 3.5 5 3.5z"/>',
  alarm: '<path d="M12 3L22.5 21h-21z"/><path d="M12 9.5v5.5M12 18v.1"/>',
  close: '<path d="M5 5l14 14M19 5L5 19"/>',
  back: '<path d="M8 5h13v14H8l-6-7z"/><path d="M12 9.5l5 5m0-5l-5 5"/>',
  enter: '<path d="M5 12.5l5 5L20 6.5"/>',
};

export function icon(name, size) {
  const span = document.createElement("span");
  span.className = "lg-icon";
  span.innerHTML = `<svg viewBox="0 0 24 24" width="100%" height="100%" fill="none" stroke="currentColor" stroke-width="2.1" stroke-linecap="round" stroke-linejoin="round">${DRAWINGS[name]}</svg>`;
  if (size) span.style.cssText = `display:block;flex:none;width:calc(${size} * var(--u));height:calc(${size} * var(--u))`;
  return span;
}

const open = [];

// Only the topmost dialog takes keys and taps; the line's answers stay in reach.
function settle(root) {
  const top = open[open.length - 1];
  for (const child of root.children) child.inert = Boolean(top) && child !== top.veil && !child.classList.contains("lg-answers");
  if (top && !top.node.contains(document.activeElement)) top.node.focus({ preventScroll: true });
}

// One dialog over the board. Returns {node, close}; onclose is called once however it closes.
export function openDialog(root, name, content, onclose = () => {}) {
  const node = el("section", { class: "lg-dialog", role: "dialog", "aria-modal": "true", "data-dialog": name, tabindex: "-1" }, ...content);
  const veil = el("div", { class: "lg-veil" }, node);
  let closed = false;
  const handle = {
    node,
    veil,
    close() {
      if (closed) return;
      closed = true;
      veil.remove();
      open.splice(open.indexOf(handle), 1);
      settle(root);
      onclose();
    },
  };
  root.append(veil);
  fill(node);
  open.push(handle);
  settle(root);
  return handle;
}

export const closeAll = () => [...open].reverse().forEach((dialog) => dialog.close());
export const anyOpen = () => open.length > 0;

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && open.length) open[open.length - 1].close();
});

export const HOLD_MS = 1200;

// Acts only after it was held for HOLD_MS; letting go or sliding off takes it back.
export function hold(button, action) {
  let timer = 0;
  button.classList.add("lg-hold");
  button.style.setProperty("--hold-ms", `${HOLD_MS}ms`);
  const off = () => {
    clearTimeout(timer);
    button.classList.remove("holding");
  };
  const on = () => {
    if (button.disabled) return;
    off();
    button.classList.add("holding");
    timer = setTimeout(() => {
      off();
      action();
    }, HOLD_MS);
  };
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    on();
  });
  button.addEventListener("pointermove", (event) => {
    const box = button.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) off();
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(kind, off);
  button.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && !event.repeat) on();
  });
  button.addEventListener("keyup", off);
  button.addEventListener("blur", off);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  return button;
}
