// The review screen's frame: tabs, who is signed in, language, messages. mount(element) puts all of it into any element.
import { el } from "../core/dialog.js";
import { chooseLanguage, may, onSession, refresh, session, signOut } from "../core/session.js";
import { signIn } from "../core/signin.js";
import { currentLanguage, fill, LANGUAGE_NAMES, LANGUAGES, loadTexts, onLanguage, t } from "../core/texts.js";
import { chartsScreen } from "./screen_charts.js";
import { exchangeScreen } from "./screen_exchange.js";
import { releaseScreen } from "./screen_release.js";
import { reviewScreen } from "./screen_review.js";
import { traceScreen } from "./screen_trace.js";

const SCREENS = { queue: reviewScreen, trace: traceScreen, charts: chartsScreen, release: releaseScreen, exchange: exchangeScreen };

/** Whether the field that has the focus needs this key itself. */
function takes({ target, key }) {
  if (target.matches?.("input[type=checkbox], input[type=range]")) return key === " " || key.startsWith("Arrow");
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

// A host that is not our own page (Gradio) has none of our styles yet.
function dress() {
  for (const href of ["/static/core/theme.css", "/static/review/review.css"])
    if (!document.querySelector(`link[href="${href}"]`)) document.head.append(el("link", { rel: "stylesheet", href }));
}

/** Fill `root` with the review screen. Returns {close()}. */
export async function mount(root) {
  dress();
  await refresh().catch(() => {});
  for (const name of ["operator", "review"]) await loadTexts([name], session.language);
  root.classList.add("rv");
  const body = el("section", { class: "rv-body" });
  const toasts = el("div", { class: "rv-toasts", role: "status" });
  const veil = el("div", { class: "lg rv-veil", hidden: true }, el("div", { class: "lg-in" }));
  const who = el("button", { type: "button", class: "rv-who" });
  const tabs = el("nav", { class: "rv-tabs" });
  const languages = el("div", { class: "rv-languages", role: "group" });
  const head = el("header", { class: "rv-head" }, el("b", { class: "rv-brand" }, "Linegate"), tabs, languages, who);
  root.replaceChildren(head, body, toasts, veil);
  let screen = null, shown = "", person = "";
  let asking = null, dismissed = false; // dismissed: what runs by itself must not ask again until a hand moves

  const app = {
    root,
    toast(key, values = {}, kind = "") {
      const node = el("div", { class: `rv-toast ${kind}`, text: key, values });
      toasts.append(node);
      while (toasts.children.length > 4) toasts.firstChild.remove();
      setTimeout(() => node.remove(), kind === "bad" ? 9000 : 3500);
    },
    fail(error) {
      if (error.status === 401) return dismissed ? false : app.signIn();
      const roles = error.args?.roles?.map((role) => t(`operator.role.${role}`)).join(", ");
      app.toast(error.key || "review.error.unexpected", error.args ? { ...error.args, roles } : { detail: String(error) }, "bad");
      return false;
    },
    /** One dialog, however many requests find that nobody is signed in. Resolves true when somebody is. */
    signIn() {
      asking ??= (async () => {
        veil.hidden = false;
        await refresh().catch(() => {}); // what the session has become shows in the head
        const done = await signIn(veil.firstChild);
        veil.hidden = true;
        asking = null;
        dismissed = !done;
        return done;
      })();
      return asking;
    },
    go(hash) {
      location.hash = hash;
    },
  };

  function show() {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
    const wanted = SCREENS[name] ? name : "queue";
    for (const tab of tabs.children) tab.setAttribute("aria-current", String(tab.dataset.screen === wanted));
    if (!may("lead")) return turnAway();
    if (shown === wanted && screen?.go) return screen.go(rest);
    leave();
    [shown, person] = [wanted, session.name];
    screen = SCREENS[wanted](app, body);
    return screen.go?.(rest);
  }

  function leave() {
    screen?.close?.();
    screen = null;
    shown = "";
    body.replaceChildren();
  }

  function turnAway() {
    leave();
    body.append(el("div", { class: "rv-empty" }, el("p", { text: session.name ? "review.role_needed" : "review.sign_in_first" }),
      el("button", { type: "button", class: "act", text: "review.sign_in", onclick: () => app.signIn() })));
  }

  function frame() {
    tabs.replaceChildren(...Object.keys(SCREENS).map((name) => el("a", { href: `#/${name}`, "data-screen": name, text: `review.tab.${name}` })));
    languages.replaceChildren(
      ...LANGUAGES.map((lang) => el("button", { type: "button", "data-language": lang, "aria-pressed": String(lang === currentLanguage()), onclick: () => chooseLanguage(lang).catch(app.fail) }, LANGUAGE_NAMES[lang])),
    );
    who.replaceChildren(session.name ? `${session.name} · ${t(`operator.role.${session.role}`)}` : t("review.sign_in"));
    who.title = session.name ? t("review.sign_out") : "";
  }

  who.onclick = () => (session.name ? signOut().then(turnAway, app.fail) : app.signIn());
  const onKey = (event) => {
    // Inside a host with tabs of its own (Gradio) the keys are ours only while we are seen.
    if (!veil.hidden || !root.getClientRects().length || takes(event)) return;
    if (screen?.key?.(event)) event.preventDefault();
  };
  const onHand = () => (dismissed = false);
  addEventListener("keydown", onHand, true);
  addEventListener("pointerdown", onHand, true);
  addEventListener("keydown", onKey);
  addEventListener("keyup", onKey);
  addEventListener("hashchange", show);
  onSession(() => {
    frame();
    // A signed-out person's drawing stays where it is until they are back. Anybody else gets a screen of their own.
    if (screen && session.name && session.name !== person) leave();
    if (!screen || (session.name && !may("lead"))) show();
  });
  onLanguage(() => {
    frame();
    fill(root);
    screen?.language?.();
  });
  frame();
  show();
  return {
    close() {
      leave();
      removeEventListener("keydown", onHand, true);
      removeEventListener("pointerdown", onHand, true);
      removeEventListener("keydown", onKey);
      removeEventListener("keyup", onKey);
      removeEventListener("hashchange", show);
      root.replaceChildren();
    },
  };
}
