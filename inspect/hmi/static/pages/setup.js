// The first start: the admin chooses a name and a PIN, twice. There is no default.
import { Refused, post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { pinPad } from "../core/signin.js";
import { LANGUAGES, LANGUAGE_NAMES, currentLanguage, fill, loadTexts, setLanguage, t } from "../core/texts.js";

const page = document.getElementById("page");
page.classList.add("lg");
document.documentElement.classList.add("lg-page");
await loadTexts(["operator"]);

let first = "";
const say = el("div", { class: "lg-say", role: "status" });
const how = el("p", { text: "operator.setup.how" });
const name = el("input", { label: "operator.setup.name", maxlength: "32", value: "Admin", autocomplete: "off" });
const { dots, pad } = pinPad(async (pin) => {
  say.textContent = "";
  if (!first) {
    first = pin;
    how.dataset.text = "operator.setup.again";
  } else if (first !== pin) {
    say.textContent = t("operator.setup.differ");
    first = "";
    how.dataset.text = "operator.setup.how";
  } else {
    try {
      await post("/api/setup", { name: name.value, pin, language: currentLanguage() });
      location.assign("/");
    } catch (error) {
      say.textContent = error instanceof Refused ? t(error.key, error.args) : String(error);
      first = "";
      how.dataset.text = "operator.setup.how";
    }
  }
  fill(document);
});
const languages = LANGUAGES.map((lang) => el("button", { type: "button", "data-language": lang, onclick: () => setLanguage(lang) }, LANGUAGE_NAMES[lang]));
page.append(el("div", { class: "lg-in" }, el("div", { class: "lg-center" }, el("section", { class: "lg-dialog" },
  el("h2", { text: "operator.setup.title" }),
  el("div", { class: "lg-signin" },
    el("div", { class: "lg-side" }, how, el("label", { class: "lg-label", text: "operator.setup.name" }), name, el("div", { class: "lg-row", style: "justify-content:flex-start" }, ...languages), say),
    el("div", { class: "lg-side" }, dots, pad))))));
fill(document);
page.dataset.ready = "yes";
