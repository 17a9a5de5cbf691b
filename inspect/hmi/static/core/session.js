// Who is signed in, in this browser. The server decides; this page only shows it and says when a hand moved.
import { call, get, post } from "./api.js";
import { sample } from "./skew.js";
import { currentLanguage, keptLanguage, LANGUAGES, setLanguage } from "./texts.js";

const TOUCH_MS = 10000;
const ASK_MS = 5000; // another tab, an admin or the clock may have ended the session
const tabs = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("linegate-session");
export const session = { name: "", role: "", may: [], leftMs: 0, idleMs: 0, local: false };
const listeners = new Set();
let endsAt = 0;
let touched = 0;
let turns = 0; // people came and went so many times

function take(answer) {
  if (answer.server_ns) sample(answer.server_ns);
  const changed = answer.name !== session.name || answer.role !== session.role;
  Object.assign(session, answer);
  endsAt = performance.now() + answer.left_s * 1000;
  if (changed) listeners.forEach((listener) => listener(session));
  return session;
}

export const onSession = (listener) => listeners.add(listener);
export const signedIn = () => session.name !== "";
export const may = (role) => session.may.includes(role);
export const leftMs = () => (signedIn() ? Math.max(0, endsAt - performance.now()) : 0);

// A question that was asked before somebody signed in or out is answered with who was there before.
async function unlessTurned(question) {
  const before = turns;
  const answer = await question;
  return turns === before ? take(answer) : session;
}

function turn(answer) {
  turns += 1;
  return take(answer);
}

export const refresh = () => unlessTurned(get("/api/session"));

function personal(answer) {
  turn(answer);
  tabs?.postMessage("changed");
  personalLanguage(answer.language);
  return session;
}

function personalLanguage(language) {
  if (LANGUAGES.includes(language) && language !== currentLanguage()) setLanguage(language, false);
}

export const signInPin = async (name, pin) => personal(await post("/api/session/pin", { name, pin }));
export const signInBadge = async (badge) => personal(await post("/api/session/badge", { badge }));

export async function signOut() {
  turn(await post("/api/session/end"));
  tabs?.postMessage("changed");
  const panel = keptLanguage() || session.station_language;
  if (panel !== currentLanguage()) setLanguage(panel, false);
}

// The language belongs to the person; with nobody signed in, to the panel.
export async function chooseLanguage(language) {
  setLanguage(language, !signedIn());
  if (signedIn()) await call("PUT", "/api/session/language", { language });
}

for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(
    kind,
    () => {
      const now = performance.now();
      if (!signedIn() || now - touched < TOUCH_MS) return;
      touched = now;
      unlessTurned(post("/api/session/touch")).catch(() => {});
    },
    true,
  );
}

// Who is signed in now, as the server has it; the panel's language comes back when it is nobody.
export async function follow() {
  const before = session.name;
  await refresh();
  if (before && !signedIn()) {
    const panel = keptLanguage() || session.station_language;
    if (panel && panel !== currentLanguage()) setLanguage(panel, false);
  } else if (session.name !== before) personalLanguage(session.language);
}

let asked = performance.now();
const look = () => {
  asked = performance.now();
  follow().catch(() => {});
};
setInterval(() => {
  if ((signedIn() && leftMs() <= 0) || performance.now() - asked > ASK_MS) look();
}, 1000);
addEventListener("visibilitychange", () => document.hidden || look());
if (tabs) tabs.onmessage = look;
