// A barcode scanner or badge reader that types (a keyboard wedge): fast keystrokes that end with Enter. A person's typing is
// slower, so stray keys never become a code. No text field is needed, and none has the focus.
const MEAN_GAP_MS = 60; // nobody types a whole code this fast
const LONGEST_GAP_MS = 250; // one hiccup of a busy panel is no pause
const LEAST = 3;

let listener = null;
let code = "";
let first = 0;
let last = 0;

// The one who wants codes now; the newest wins, and gets the place back by release().
export function listen(handler) {
  const before = listener;
  listener = handler;
  code = "";
  return () => {
    if (listener === handler) listener = before;
  };
}

addEventListener(
  "keydown",
  (event) => {
    if (!listener || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target;
    if (target instanceof HTMLElement && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName))) return;
    const field = target instanceof HTMLInputElement ? target : null; // typing goes on, but a code that was scanned into it leaves it
    const now = event.timeStamp; // when the key was pressed, not when the page had time for it
    if (now - last > LONGEST_GAP_MS) code = "";
    if (event.key === "Enter") {
      if (code.length >= LEAST && (now - first) / code.length <= MEAN_GAP_MS) {
        event.preventDefault();
        event.stopPropagation();
        if (field?.value.endsWith(code)) field.value = field.value.slice(0, -code.length);
        listener(code);
      }
      code = "";
    } else if (event.key.length === 1) {
      if (!code) first = now;
      code += event.key;
      if (code.length > 1 && !field) event.preventDefault();
    }
    last = now;
  },
  true,
);
