// Train and release: jobs with their progress; the cards beside them hold the models and what may be done with them.
import { get, post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { may } from "../core/session.js";
import { number, t } from "../core/texts.js";
import { releaseCards } from "./release_cards.js";
import { conditions, meter, shadowResults } from "./release_parts.js";
import { when } from "./screen_trace.js";

const POLL_MS = 1500;

export function releaseScreen(app, root) {
  const minutes = el("input", { type: "number", min: "1", max: "1440", value: "25", style: "width:90px", label: "review.train.minutes" });
  const note = el("input", { maxlength: "500", style: "flex:1;min-width:180px", label: "review.train.note", placeholder: t("review.train.note") });
  const start = el("button", { type: "button", class: "act", "data-act": "train", text: "review.train.start", onclick: () => train() });
  const jobs = el("div", { "data-list": "jobs" });
  const bundles = el("div", { class: "rv-page-in", style: "padding:0;margin:0", "data-list": "bundles" });
  const shadow = el("div", { class: "rv-card" });
  root.append(el("div", { class: "rv-page-in" }, el("div", { class: "rv-cols" },
    el("div", { class: "rv-page-in", style: "padding:0;margin:0" },
      el("div", { class: "rv-card" }, el("h2", { text: "review.train.title" }), el("p", { text: "review.train.how" }),
        el("div", { class: "rv-row" }, el("label", { class: "rv-row" }, el("span", { text: "review.train.minutes" }), minutes), note, start)),
      el("div", { class: "rv-card" }, el("h2", { text: "review.jobs" }), jobs)),
    el("div", { class: "rv-page-in", style: "padding:0;margin:0" }, bundles, shadow))));
  const cards = releaseCards(app, () => load(true));
  const timer = setInterval(() => document.visibilityState === "visible" && !cards.asking && load(), POLL_MS);

  async function train() {
    try {
      const { id } = await post("/api/review/jobs", { minutes: Number(minutes.value), note: note.value });
      app.toast("review.train.started", { id }, "good");
      note.value = "";
    } catch (error) {
      app.fail(error);
    }
    load();
  }

  async function load(force = false) {
    try {
      const [list, found] = await Promise.all([get("/api/review/jobs"), get("/api/review/bundles")]);
      start.disabled = !may("quality");
      jobs.replaceChildren(...(list.length ? list.map(job) : [el("p", { text: "review.jobs_none" })]));
      const typed = bundles.querySelector("input:focus, details[open]");
      if (force === true || !(typed || cards.asking)) bundles.replaceChildren(...cards.draw(found, list));
      shadow.replaceChildren(el("h2", { text: "review.shadow" }), ...shadowResults(found));
    } catch (error) {
      app.fail(error);
    }
  }

  function job(row) {
    const live = row.state === "waiting" || row.state === "running";
    const state = row.state === "failed" || row.result?.held === false ? "no" : row.state === "done" ? "ok" : "";
    const asked = row.kind === "release" ? row.spec.bundle : t("review.train.for", { n: row.spec.minutes ?? "?" });
    return el("div", { style: "padding:10px 0;border-bottom:1px solid #26313a", "data-job": row.id },
      el("div", { class: "rv-row" }, el("b", {}, `#${row.id} `, el("span", { text: row.kind === "release" ? "review.job_kind.release" : "review.job_kind.train" })), el("span", { class: `rv-state ${state}` }, t(`review.job.${row.state}`)),
        el("small", { style: "flex:1;min-width:160px;overflow-wrap:anywhere" }, `${row.by} · ${when(row.created_utc_ns)} · ${asked} ${row.spec.note ?? ""}`),
        live && may("quality") ? el("button", { type: "button", text: "review.train.cancel", "data-act": "cancel-job", disabled: row.cancel, onclick: () => post(`/api/review/jobs/${row.id}/cancel`).then(load, app.fail) }) : null),
      live ? meter(row) : row.progress_text && row.state !== "done" ? el("small", {}, row.progress_text) : null,
      row.worker_silent ? el("p", { text: "review.worker_silent" }) : null,
      row.state === "waiting" ? el("small", { text: "review.job_waiting_for" }) : null,
      row.result?.conditions ? conditions(row.result.conditions) : row.result?.text ? el("p", {}, row.result.text) : null,
      el("div", { class: "rv-row" }, ...row.files.map((name) => el("a", { href: `/api/review/jobs/${row.id}/files/${encodeURIComponent(name)}`, target: "_blank", rel: "noopener" }, name === "release.html" ? t("review.release.report") : name))));
  }

  load();
  return {
    language() {
      note.placeholder = t("review.train.note");
      load(true);
    },
    close: () => clearInterval(timer),
  };
}
