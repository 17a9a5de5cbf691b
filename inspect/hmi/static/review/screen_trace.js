// Trace an escape: a serial or a part's key → all there is about it, and the shipped parts that look like it.
import { get, post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { may } from "../core/session.js";
import { has, number, t } from "../core/texts.js";
import { byQuality } from "./labelling.js";
import { thumb } from "./list.js";
import { className, moment as when, noteText, reasonText } from "./words.js";

export { moment as when } from "./words.js";
const SVG = "http://www.w3.org/2000/svg";

export function traceScreen(app, root) {
  const input = el("input", { class: "rv-search", type: "search", autocomplete: "off", maxlength: "200", label: "review.trace.search", placeholder: t("review.trace.search") });
  const form = el("form", { class: "rv-row", onsubmit: (event) => {
    event.preventDefault();
    find(input.value.trim());
  } }, input, el("button", { type: "submit", class: "act", text: "review.trace.find" }));
  const found = el("div", { class: "rv-tiles" });
  const detail = el("div");
  root.append(el("div", { class: "rv-page-in" }, el("div", { class: "rv-card" }, form), found, detail));
  input.focus(); // a scanner types into it and ends with Enter
  let asked = 0; // an answer to an earlier question is thrown away

  async function find(text) {
    if (!text) return;
    const mine = ++asked;
    try {
      const rows = await get(`/api/review/find?text=${encodeURIComponent(text)}`);
      if (mine !== asked) return;
      found.replaceChildren();
      if (rows.length === 1) {
        const hash = `#/trace/${rows[0].key}`;
        if (location.hash === hash) show(rows[0].key);
        else app.go(hash); // and that shows it
        return;
      }
      detail.replaceChildren();
      found.append(...rows.map((row) => tile(row)));
      if (!rows.length) detail.replaceChildren(el("div", { class: "rv-empty" }, t("review.trace.none", { text })));
    } catch (error) {
      app.fail(error);
    } finally {
      input.select();
    }
  }

  async function show(key) {
    const mine = ++asked;
    try {
      const part = await get(`/api/review/parts/${key}`);
      if (mine !== asked) return;
      found.replaceChildren();
      detail.replaceChildren(card(part));
      detail.dataset.part = key;
      alike(part);
    } catch (error) {
      app.fail(error);
    }
  }

  function card(part) {
    const fact = (name, value) => (value === null || value === undefined || value === "" ? [] : [el("dt", { text: `review.fact.${name}` }), el("dd", {}, String(value))]);
    const limits = part.thresholds?.bundle ?? part.thresholds ?? {};
    const facts = el("dl", { class: "rv-facts" },
      ...fact("serial", part.serial), ...fact("key", part.key), ...fact("time", when(part.triggered_utc_ns)), ...fact("lot", part.lot),
      ...fact("recipe", part.recipe_name), ...fact("verdict", part.cause === "judged" ? t(`review.decision.${part.decision}`) : `${t(`review.decision.${part.decision}`)} (${t(`operator.cause.${part.cause}`)})`), ...fact("reason", reasonText(part)),
      ...fact("score", part.score === null ? "" : number(part.score, 3)),
      ...fact("limits", limits.part_review === undefined ? "" : `${number(limits.part_review, 3)} / ${number(limits.part_reject, 3)}`),
      ...fact("model", part.bundle ? `${part.bundle.name} ${part.bundle.version} (${part.bundle.sha256.slice(0, 8)})` : part.bundle_sha256.slice(0, 8)),
      ...fact("latency", part.latency_ms === null ? "" : `${number(part.latency_ms, 1)} / ${number(part.slack_ms ?? 0, 1)} ms`),
      ...fact("gate", part.gate ? t(`review.gate.${part.gate}`) : ""),
      ...fact("classes", Object.entries(limits.classes ?? {}).map(([name, c]) => `${className(name)} ${number(c.review, 2)}/${number(c.reject, 2)}`).join(", ")));
    const photos = part.images.filter((image) => image.deleted_utc_ns === null).map((image) => photo(part, image));
    const caught = isCase(part);
    const mark = el("button", { type: "button", class: "bad", "data-act": "mark-escape", disabled: !may("quality") || caught, text: "review.trace.mark", onclick: () => markEscape(part) });
    return el("div", { class: "rv-cols" },
      el("div", { class: "rv-card" }, ...(photos.length ? photos : [el("p", { text: "review.picture_gone" })]),
        el("div", { class: "rv-row", style: "margin-top:10px" }, el("a", { class: "rv-linkish", href: `#/queue/all/${part.key}`, text: "review.trace.draw" }), mark,
          caught ? el("span", { class: "rv-state ok", text: "review.trace.must_catch" }) : null)),
      el("div", { class: "rv-card" }, el("h2", {}, part.serial || part.key, " ", el("span", { class: `rv-badge ${part.decision}` }, t(`review.decision.${part.decision}`))), facts, story(part)));
  }

  /** Whether quality made it a case of the release gate, and has not called it good since. */
  function isCase({ labels }) {
    const confirmed = labels.filter(byQuality);
    const newest = [...new Map(confirmed.map((label) => [label.camera, label])).values()];
    return confirmed.some((label) => label.must_catch) && newest.some((label) => label.decision === "NG");
  }

  function photo(part, image) {
    const view = part.views.find((one) => one.camera === image.camera);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${image.width_px} ${image.height_px}`);
    for (const region of part.regions.filter((one) => one.view_number === view?.number)) {
      const [x, y, w, h] = region.box_px, box = document.createElementNS(SVG, "rect");
      const set = { x, y, width: w, height: h, fill: "none", stroke: "#ffd34d", "stroke-width": 2, "vector-effect": "non-scaling-stroke" };
      for (const [name, value] of Object.entries(set)) box.setAttribute(name, value);
      svg.append(box);
    }
    const score = view?.score === null || !view ? "" : number(view.score, 3);
    return el("figure", { style: "margin:0" }, el("div", { class: "rv-photo" }, el("img", { src: `/api/review/pictures/${image.sha256}.png`, alt: image.camera }), svg),
      el("figcaption", {}, el("small", {}, `${image.camera} · ${image.width_px} × ${image.height_px} px · ${score} · ${view ? reasonText(view) : ""}`)));
  }

  function story(part) {
    const lines = [
      ...part.events.filter((event) => !event.kind.endsWith("_reported")).map((event) => [event.at_utc_ns, has(`review.event.${event.kind}`) ? t(`review.event.${event.kind}`, { text: event.text }) : event.text]),
      ...part.reports.map((report) => [report.at_utc_ns, t(`review.reported.${report.kind}`, { by: report.by })]),
      ...part.labels.map((label) => [label.at_utc_ns, t("review.labelled", { by: label.by, version: label.version, camera: label.camera, what: t(`review.kind.${label.kind}`), note: noteText(label.note) })]),
    ].sort((a, b) => a[0] - b[0]);
    return el("table", { class: "rv-table", style: "margin-top:12px" }, ...lines.map(([at, text]) => el("tr", {}, el("td", { style: "white-space:nowrap" }, el("small", {}, when(at))), el("td", {}, text))));
  }

  async function markEscape(part) {
    const views = part.images.length ? part.images.map((image) => image.camera) : [""];
    try {
      for (const camera of views) {
        const versions = part.labels.filter((label) => label.camera === camera), drawn = versions.filter(byQuality).at(-1);
        // A mask that was drawn already stays part of the new version.
        const keeps = drawn?.decision === "NG" ? { mask_sha256: drawn.mask_sha256, classes: drawn.classes } : {};
        await post("/api/review/labels", { key: part.key, camera, parent: versions.at(-1)?.version ?? 0, decision: "NG", kind: "escape", must_catch: true, source: "trace", ...keeps });
      }
      app.toast(part.images.length ? "review.trace.marked" : "review.trace.marked_no_picture", {}, "good");
    } catch (error) {
      app.fail(error);
    }
    show(part.key);
  }

  async function alike(part) {
    const since = el("select", { label: "review.trace.since" }, ...[0, 1, 7, 30].map((days) => el("option", { value: days }, days ? t("review.trace.days", { n: days }) : t("review.trace.ever"))));
    const tiles = el("div", { class: "rv-tiles", "data-list": "alike" });
    const link = el("a", { class: "rv-linkish", "data-act": "containment", text: "review.trace.export" });
    const box = el("div", { class: "rv-card", style: "margin-top:14px" }, el("div", { class: "rv-row" }, el("h2", { style: "flex:1;margin:0", text: "review.trace.alike" }), since, link), el("p", { text: "review.trace.alike_why" }), tiles);
    detail.append(box);
    let newest = 0;
    async function load() {
      const mine = ++newest;
      const from = Number(since.value) ? `&from=${BigInt(Date.now() - since.value * 86400_000) * 1_000_000n}` : "";
      link.href = `/api/review/parts/${part.key}/alike.csv?limit=200${from}`;
      try {
        const rows = await get(`/api/review/parts/${part.key}/alike?limit=48${from}`);
        if (mine !== newest) return;
        tiles.replaceChildren(...rows.map((row) => tile(row, number(row.similarity, 3))));
        if (!rows.length) tiles.replaceChildren(el("p", { text: part.views.some((view) => view.has_embedding) ? "review.trace.no_alike" : "review.trace.no_embedding" }));
      } catch (error) {
        app.fail(error);
      }
    }
    since.onchange = load;
    await load();
  }

  function tile(row, extra = "") {
    return el("a", { class: "rv-tile", href: `#/trace/${row.key}`, "data-key": row.key }, thumb(row),
      el("div", {}, el("b", {}, row.serial || row.key), el("small", {}, [extra, row.lot, when(row.utc_ns)].filter(Boolean).join(" · "))));
  }

  return {
    go([key]) {
      if (key) return show(key);
      return undefined;
    },
    language() {
      input.placeholder = t("review.trace.search");
      if (detail.dataset.part) show(detail.dataset.part);
    },
  };
}
