// The station's people, for its admin, at a desk with a keyboard: names are typed here, PINs and badges are not.
import { Refused, call, get, post } from "../core/api.js";
import { el, icon, openDialog } from "../core/dialog.js";
import { may, refresh, session } from "../core/session.js";
import { pinPad, signIn } from "../core/signin.js";
import { currentLanguage, fill, keptLanguage, loadTexts, t } from "../core/texts.js";
import { listen } from "../core/wedge.js";

const ROLES = ["operator", "lead", "quality", "maintenance", "admin"];
const page = document.getElementById("page");
page.classList.add("lg");
document.documentElement.classList.add("lg-page");
await refresh();
await loadTexts(["operator"], session.language, keptLanguage(), session.station_language);

const inner = el("div", { class: "lg-in" });
const list = el("div", { class: "lg-people" });
const say = el("div", { class: "lg-say", role: "status" });
const told = (error) => (say.textContent = error instanceof Refused ? t(error.key, { ...error.args, roles: (error.args.roles || []).map((r) => t(`operator.role.${r}`)).join(", ") }) : String(error));
const roleChoice = (chosen, onchange) => {
  const node = el("select", { label: "operator.people.title", onchange: () => onchange(node.value) }, ...ROLES.map((role) => el("option", { value: role, text: `operator.role.${role}`, selected: role === chosen })));
  return node;
};

function askPin(name, then) {
  const { dots, pad } = pinPad((pin) => {
    dialog.close();
    then(pin);
  });
  const dialog = openDialog(inner, "pin", [
    el("div", { class: "lg-head" }, el("h2", {}, t("operator.people.pin_for", { name })), el("button", { type: "button", label: "operator.close", onclick: () => dialog.close() }, icon("close", 30))),
    dots, pad,
  ]);
}

function askBadge(then) {
  const release = listen((code) => {
    dialog.close();
    then(code);
  });
  const dialog = openDialog(inner, "badge", [
    el("h2", { text: "operator.people.scan" }),
    el("div", { class: "lg-row" }, el("button", { type: "button", text: "operator.people.take_badge", onclick: () => {
      dialog.close();
      then("");
    } }), el("button", { type: "button", text: "operator.cancel", onclick: () => dialog.close() })),
  ], release);
}

const change = (name, body) => call("PATCH", `/api/people/${encodeURIComponent(name)}`, body).then((people) => {
  show(people);
  say.textContent = t("operator.people.saved");
}, (error) => {
  told(error);
  load();
});

function show(people) {
  list.replaceChildren(...people.map((person) => el("div", { class: "lg-person", "data-person": person.name },
    el("div", {}, el("b", {}, person.name), el("small", {}, [person.badge ? t("operator.people.badge") : "", person.disabled ? t("operator.people.blocked") : ""].filter(Boolean).join(" · "))),
    roleChoice(person.role, (role) => change(person.name, { role })),
    el("button", { type: "button", text: "operator.people.pin", onclick: () => askPin(person.name, (pin) => change(person.name, { pin })) }),
    el("button", { type: "button", text: "operator.people.badge", onclick: () => askBadge((badge) => change(person.name, { badge })) }),
    el("button", { type: "button", text: person.disabled ? "operator.people.enable" : "operator.people.disable", onclick: () => change(person.name, { disabled: !person.disabled }) }))));
  fill(list);
}

async function load() {
  try {
    show(await get("/api/people"));
  } catch (error) {
    told(error);
  }
}

const name = el("input", { label: "operator.people.name", placeholder: t("operator.people.name"), maxlength: "32", autocomplete: "off" });
let newRole = "operator";
const role = roleChoice(newRole, (value) => (newRole = value));
const add = el("button", { type: "button", class: "act", text: "operator.people.add", onclick: () => name.value.trim() && askPin(name.value, (pin) => post("/api/people", { name: name.value, role: newRole, pin, language: currentLanguage() }).then((people) => {
  show(people);
  name.value = "";
  say.textContent = t("operator.people.saved");
}, told)) });
inner.append(el("div", { class: "lg-sheet" },
  el("div", { class: "lg-head" }, el("h1", { text: "operator.people.title" }), el("button", { type: "button", text: "operator.people.back", onclick: () => location.assign("/") })),
  el("div", { class: "lg-new" }, name, role, add, el("span", {})), say, list));
page.append(inner);
fill(document);
if (!may("admin")) {
  if (!session.name) await signIn(inner);
}
await load();
page.dataset.ready = "yes";
