// The charts come from the server as SVG, in the reader's language; here they are only placed.
import { get } from "../core/api.js";
import { el } from "../core/dialog.js";
import { currentLanguage, t } from "../core/texts.js";
import { filterBar, query } from "./filters.js";
import { binary } from "./labelling.js";

const REFRESH_MS = 30000;

export function chartsScreen(app, root) {
  let by = "time", camera = "";
  const bar = filterBar(() => load(), { todo: false });
  const grouping = el("select", { label: "review.charts.by", onchange: (event) => {
    by = event.target.value;
    load();
  } });
  const views = el("select", { label: "review.charts.camera", onchange: (event) => {
    camera = event.target.value;
    load();
  } });
  const charts = el("div", { class: "rv-charts" });
  const file = (name, text) => el("button", { type: "button", "data-report": name, text, onclick: () => download(name) });
  root.append(el("div", { class: "rv-page-in" },
    el("div", { class: "rv-row" }, bar.node, grouping, views, el("span", { style: "flex:1" }),
      file("report.html", "review.charts.html"), file("report.pdf", "review.charts.pdf"), file("parts.csv", "review.charts.csv"), file("parts.parquet", "review.charts.parquet")),
    charts));
  const timer = setInterval(() => document.visibilityState === "visible" && load(), REFRESH_MS);

  const parameters = () => query({ todo: "false", by, language: currentLanguage() });

  async function load() {
    try {
      const [drawn, offered] = await Promise.all([get(`/api/review/charts?${parameters()}&camera=${encodeURIComponent(camera)}`), get(`/api/review/queues?${query()}`)]);
      bar.fill(offered.choices);
      grouping.replaceChildren(...["time", "lot"].map((name) => el("option", { value: name }, t(`review.charts.by_${name}`))));
      grouping.value = by;
      views.replaceChildren(...drawn.cameras.map((name) => el("option", { value: name }, name)));
      views.hidden = drawn.cameras.length < 2;
      views.value = camera || drawn.cameras[0] || "";
      // The SVG is made by our own server from escaped text; no part of it is a script (and the page's policy allows none).
      charts.innerHTML = Object.values(drawn.charts).join("");
      charts.dataset.loaded = currentLanguage();
    } catch (error) {
      app.fail(error);
    }
  }

  async function download(name) {
    try {
      if (name === "report.html") return window.open(`/api/review/${name}?${parameters()}`, "_blank", "noopener");
      app.toast("review.charts.making");
      const blob = await (await binary(`/api/review/${name}?${parameters()}`)).blob();
      const link = el("a", { href: URL.createObjectURL(blob), download: name === "report.pdf" ? "shift-report.pdf" : name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      app.fail(error);
    }
    return undefined;
  }

  load();
  return { language: load, close: () => clearInterval(timer) };
}
