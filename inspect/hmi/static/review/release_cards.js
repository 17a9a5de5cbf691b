// The models of the station, and what a person with the role may do with each: gate, approve, promote, roll back, shadow.
import { call, post } from "../core/api.js";
import { el, hold } from "../core/dialog.js";
import { may } from "../core/session.js";
import { number, t } from "../core/texts.js";
import { certificate, conditions, figures, meter } from "./release_parts.js";
import { when } from "./screen_trace.js";

const ANSWER_MS = 20_000; // a certificate is written and a line asked before the server answers

/** ``draw(bundles, jobs)`` gives the cards; ``asking``: somebody is about to decide, so nothing is drawn anew under their hands. */
export function releaseCards(app, reload) {
  const cards = { asking: false, draw };

  function draw(found, jobs) {
    const card = (title, bundle, ...more) => el("div", { class: "rv-card", "data-bundle": bundle?.name ?? "" }, el("h2", { text: title }), ...(bundle ? describe(bundle, gateOf(bundle, jobs)) : [el("p", { text: "review.bundle.none" })]), ...more.filter(Boolean));
    return [
      card("review.bundle.live", found.live, row(asks("rollback", "review.rollback", "/api/review/rollback", {}, !found.can_roll_back))),
      ...(found.shadow ? [card("review.bundle.shadow", found.shadow, ...gated(found.shadow, jobs), acts(found.shadow, jobs, true))] : []),
      ...found.candidates.map((one) => card("review.bundle.candidate", one, ...gated(one, jobs), acts(one, jobs, false))),
      el("div", { class: "rv-card" }, el("h2", { text: "review.history_of_releases" }), el("table", { class: "rv-table" }, ...found.history.map((change) => el("tr", {}, el("td", {}, el("small", {}, when(Date.parse(change.utc) * 1e6))), el("td", {}, t(`review.change.${change.action}`)), el("td", {}, change.bundle || t("review.bundle.packaged")), el("td", {}, `${change.who}: ${change.why}`))))),
    ];
  }

  function describe(bundle, run) {
    if (bundle.broken) return [el("div", { class: "rv-error" }, bundle.broken)];
    const facts = [["bundle", bundle.label], ["classes", bundle.classes.join(", ")], ["guarantee", bundle.guarantee], ["data", bundle.provenance.data], ["trained", `${bundle.provenance.trained_utc} · ${number(bundle.provenance.minutes, 1)} min · seed ${bundle.provenance.seed}`]];
    return [
      el("dl", { class: "rv-facts" }, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", { text: `review.bundle.${name}` }), el("dd", {}, value)])),
      bundle.figures ? el("details", { class: "rv-certificate" }, el("summary", { text: "review.shadow" }), el("dl", { class: "rv-facts" }, ...figures(bundle.figures))) : null,
      bundle.certificate || run?.state !== "done" ? certificate(bundle.certificate) : null, // what the gate said stands below
      bundle.report ? el("p", {}, el("a", { href: `/api/review/bundles/${encodeURIComponent(bundle.name)}/report`, target: "_blank", rel: "noopener", "data-act": "report", text: "review.release.report" })) : null,
    ].filter(Boolean);
  }

  const gateOf = (bundle, jobs) => jobs.find((row) => row.kind === "release" && row.spec.bundle === bundle.name);
  const isLive = (row) => row?.state === "waiting" || row?.state === "running";

  // What the newest run of the gate says of a bundle that has no certificate yet.
  function gated(bundle, jobs) {
    const run = gateOf(bundle, jobs);
    if (!run || bundle.certificate || bundle.broken) return [];
    const report = run.files.includes("release.html") ? el("a", { href: `/api/review/jobs/${run.id}/files/release.html`, target: "_blank", rel: "noopener", text: "review.release.report" }) : null;
    if (isLive(run)) return [el("p", { text: run.state === "waiting" ? "review.job_waiting_for" : "review.release.under_way", values: { id: run.id } }), meter(run)];
    if (run.state === "failed") return [el("div", { class: "rv-error" }, run.result?.text ?? "")];
    return run.result?.conditions ? [conditions(run.result.conditions), el("p", {}, report ?? "")] : [];
  }

  function acts(bundle, jobs, shadowed) {
    if (bundle.broken) return shadowed ? row(endShadow()) : null;
    const run = gateOf(bundle, jobs), passed = !bundle.certificate && run?.state === "done" && run.result?.held;
    return row(
      bundle.certificate ? asks("promote", "review.promote", "/api/review/promote", { bundle: bundle.name }) : null,
      passed ? asks("approve", "review.release.approve", `/api/review/jobs/${run.id}/approve`, {}) : null,
      bundle.certificate || isLive(run) ? null : gate(bundle.name, passed),
      shadowed ? endShadow() : asks("shadow", "review.shadow_on", "/api/review/shadow", { bundle: bundle.name }),
    );
  }

  const row = (...buttons) => el("div", { class: "rv-row rv-acts" }, ...buttons.filter(Boolean));
  const endShadow = () => asks("unshadow", "review.shadow_off", "/api/review/shadow", { bundle: "" });

  const field = (text) => el("input", { maxlength: "500", style: "flex:1;min-width:200px", label: text, placeholder: t(text) });

  function opened(open, ...parts) {
    cards.asking = true;
    const cancel = el("button", { type: "button", text: "operator.cancel", onclick: done });
    open.closest(".rv-acts").replaceChildren(el("div", { class: "rv-row", style: "flex:1" }, ...parts, cancel));
    parts[0].focus();
  }

  function done() {
    cards.asking = false;
    reload();
  }

  // The gate's run changes nothing: a click is enough. What can't be tested may be waived, by the name the report gives it.
  function gate(bundle, again) {
    const open = el("button", { type: "button", class: again ? "" : "act", "data-act": "gate", text: "review.release.start", disabled: !may("quality") });
    open.onclick = () => {
      const note = field("review.train.note"), name = field("review.release.waive"), why = field("review.release.waive_why");
      const start = el("button", { type: "button", class: "act", "data-act": "gate-start", text: "review.release.ask", onclick: async () => {
        const waivers = name.value.trim() ? [{ name: name.value.trim(), why: why.value.trim() }] : [];
        if (waivers.length && waivers[0].why.length < 3) return app.toast("review.release.waive_why", {}, "bad"), why.focus();
        try {
          const { id } = await post("/api/review/gate", { bundle, note: note.value, waivers });
          app.toast("review.train.started", { id }, "good");
        } catch (error) {
          app.fail(error);
        }
        done();
        return undefined;
      } });
      opened(open, note, name, why, start);
    };
    return open;
  }

  // These change what judges parts: a reason in words, and a button held for more than a second.
  function asks(kind, text, path, body, off = false) {
    const open = el("button", { type: "button", class: kind === "approve" ? "act" : "", "data-act": kind, text, disabled: off || !may("quality") });
    open.onclick = () => {
      const why = field("review.why_release");
      const sure = hold(el("button", { type: "button", class: "bad", "data-act": `${kind}-hold` }, el("span", { text: "operator.hold" })), async () => {
        if (why.value.trim().length < 3) return app.toast("review.why_release", {}, "bad"), why.focus();
        sure.disabled = true;
        try {
          said(await call("POST", path, { ...body, why: why.value.trim() }, ANSWER_MS));
        } catch (error) {
          app.fail(error);
        }
        done();
        return undefined;
      });
      opened(open, why, sure);
    };
    return open;
  }

  function said({ ok, state, answer }) {
    if (ok) app.toast("review.line_did", { answer }, "good");
    else app.toast({ expired: "review.line_silent", taken: "review.line_working" }[state] ?? "review.line_refused", { answer }, "bad");
  }

  return cards;
}
