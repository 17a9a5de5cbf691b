// All texts of a screen: /static/texts/<screen>.<language>.json. Elements name theirs by data-text, with data-values where it
// has placeholders (and by data-label for aria-label); switching the language fills them in again at once, without a reload.

export const LANGUAGES = ["en", "zh", "de"];
export const LANGUAGE_NAMES = { en: "EN", zh: "中文", de: "DE" };
const LOCALES = { en: "en-GB", zh: "zh-CN", de: "de-DE" };
const STORE = "linegate-language";

const words = {};
const screens = new Set();
const listeners = new Set();
let language = "en";

async function load(screen, lang) {
  const answer = await fetch(`/static/texts/${screen}.${lang}.json`);
  const more = await answer.json(); // waited for first: another dictionary may arrive meanwhile
  words[lang] = Object.assign(words[lang] || {}, more);
}

// Load every language of these screens, so that a switch needs no connection, then take the first choice there is.
export async function loadTexts(names, ...choices) {
  const missing = names.filter((name) => !screens.has(name));
  await Promise.all(missing.flatMap((name) => LANGUAGES.map((lang) => load(name, lang))));
  missing.forEach((name) => screens.add(name));
  const choice = [...choices, localStorage.getItem(STORE)].find((lang) => LANGUAGES.includes(lang));
  setLanguage(choice || "en", false);
}

export function setLanguage(lang, keep = true) {
  language = lang;
  document.documentElement.lang = lang === "zh" ? "zh-CN" : lang;
  if (keep) localStorage.setItem(STORE, lang);
  fill(document);
  listeners.forEach((listener) => listener(lang));
}

export const keptLanguage = () => localStorage.getItem(STORE);
export const currentLanguage = () => language;
export const onLanguage = (listener) => listeners.add(listener);
export const keysOf = (prefix) => Object.keys(words[language] || {}).filter((key) => key.startsWith(prefix));
export const has = (key) => key in (words[language] || {});

// A text with its {placeholders} filled in. A missing key shows itself; a test looks for that.
export function t(key, values = {}) {
  const text = (words[language] || {})[key];
  if (text === undefined) return `⟦${key}⟧`;
  return text.replace(/\{(\w+)\}/g, (_, name) => (values[name] === undefined ? "" : String(values[name])));
}

export function fill(root) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text, JSON.parse(node.dataset.values || "{}"));
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
}

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(LOCALES[language], { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

export const clock = (date) =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
