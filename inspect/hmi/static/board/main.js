// Puts the board into an element: the kiosk page's own, or one inside Gradio.
import { refresh, session } from "../core/session.js";
import { keptLanguage, loadTexts } from "../core/texts.js";
import { Board } from "./board.js";

const STYLES = ["/static/core/theme.css", "/static/board/operator.css"];

function addStyles() {
  return Promise.all(STYLES.filter((href) => !document.querySelector(`link[href="${href}"]`)).map((href) => new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: resolve, onerror: resolve });
    document.head.append(link);
  })));
}

export async function mount(root) {
  root.classList.add("lg");
  await Promise.all([addStyles(), refresh().catch(() => session)]);
  await loadTexts(["operator"], session.language, keptLanguage(), session.station_language);
  const board = new Board(root);
  await board.start();
  root.dataset.ready = "yes";
  return board;
}

const kiosk = document.querySelector("body.kiosk > #board");
if (kiosk) {
  document.documentElement.classList.add("lg-page");
  mount(kiosk);
}
