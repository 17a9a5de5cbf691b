// The sign-in dialog: a name and a PIN on large keys, or a badge at the reader. Shared by all screens.
import { Refused, get } from "./api.js";
import { el, icon, openDialog } from "./dialog.js";
import { session, signInBadge, signInPin } from "./session.js";
import { t } from "./texts.js";
import { listen } from "./wedge.js";

const PIN_MAX = 8;
const NAMES_SHOWN = 10;

// A PIN pad. onenter(pin) is called by the tick; the pad clears itself.
export function pinPad(onenter) {
  let pin = "";
  const dots = el("div", { class: "lg-dots", label: "operator.pin.entered" });
  const show = () => dots.replaceChildren(...Array.from({ length: Math.max(4, pin.length) }, (_, n) => el("i", { class: n < pin.length ? "in" : "" })));
  const digit = (n) => el("button", { type: "button", "data-key": n, onclick: () => ((pin = (pin + n).slice(0, PIN_MAX)), show()) }, String(n));
  const back = el("button", { type: "button", "data-key": "back", label: "operator.pin.back", onclick: () => ((pin = pin.slice(0, -1)), show()) }, icon("back", 40));
  const enter = el("button", { type: "button", class: "act", "data-key": "enter", label: "operator.pin.enter", onclick: () => {
    const entered = pin;
    pin = "";
    show();
    onenter(entered);
  } }, icon("enter", 44));
  show();
  return { dots, pad: el("div", { class: "lg-pad" }, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(digit), back, digit(0), enter) };
}

// Resolves true when somebody signed in, false when the dialog was closed.
export async function signIn(root) {
  const names = await get("/api/session/names").catch(() => []);
  return new Promise((resolve) => {
    let chosen = names.length === 1 ? names[0].name : "";
    let from = 0;
    let done = false;
    const say = el("div", { class: "lg-say", role: "status" });
    const list = el("div", { class: "lg-names" });
    const finish = () => {
      done = true;
      dialog.close();
    };
    const fail = (error) => {
      say.textContent = error instanceof Refused ? t(error.key, error.args) : String(error);
    };
    const typed = () => list.querySelector("input")?.value.trim() || chosen;
    const { dots, pad } = pinPad((pin) => {
      if (!typed()) say.textContent = t("operator.signin.choose");
      else if (pin) signInPin(typed(), pin).then(finish, fail);
    });
    function showNames() {
      if (!session.local) {
        list.replaceChildren(el("input", { label: "operator.signin.name", autocomplete: "off", maxlength: "32" }));
        return;
      }
      const shown = names.slice(from, from + NAMES_SHOWN);
      list.replaceChildren(
        ...shown.map((person) =>
          el("button", { type: "button", "aria-pressed": String(person.name === chosen), onclick: () => {
            chosen = person.name;
            say.textContent = "";
            showNames();
          } }, person.name, el("small", { text: `operator.role.${person.role}` })),
        ),
      );
      if (names.length > NAMES_SHOWN)
        list.append(el("button", { type: "button", text: "operator.signin.more", onclick: () => {
          from = from + NAMES_SHOWN >= names.length ? 0 : from + NAMES_SHOWN;
          showNames();
        } }));
    }
    showNames();
    const release = listen((badge) => signInBadge(badge).then(finish, fail));
    const dialog = openDialog(
      root,
      "signin",
      [
        el("div", { class: "lg-head" }, el("h2", { text: "operator.signin.title" }), el("button", { type: "button", label: "operator.close", onclick: () => dialog.close() }, icon("close", 30))),
        el("div", { class: "lg-signin" },
          el("div", { class: "lg-side", style: "width:auto" }, el("p", { text: "operator.signin.how" }), list),
          el("div", { class: "lg-side" }, dots, pad)),
        say,
      ],
      () => {
        release();
        resolve(done);
      },
    );
  });
}
