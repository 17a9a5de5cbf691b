// "Good part rejected" and "bad part slipped through": one tap on the picture, where the defect is or should have been.
import { Refused, get } from "../core/api.js";
import { el, icon, openDialog } from "../core/dialog.js";
import { clock, t } from "../core/texts.js";
import { listen } from "../core/wedge.js";
import { Picture, fetchPicture } from "./picture.js";

const head = (title, close) => el("div", { class: "lg-head" }, el("h2", { text: title }), el("button", { type: "button", label: "operator.close", onclick: close }, icon("close", 30)));

// Shows the part large; the first tap on it reports the place.
export async function mark(board, kind, part) {
  if (!(await board.commands.allowed(kind))) return;
  const canvas = el("canvas", { class: "lg-mark", label: `operator.mark.${kind}` });
  const say = el("div", { class: "lg-say" }, `${t("operator.part", { n: part.sequence })} · ${clock(new Date(part.utc_ns / 1e6))}${part.serial ? ` · ${part.serial}` : ""}`);
  const picture = new Picture(canvas);
  picture.classes = board.state.status?.classes || [];
  picture.marks = kind === "overkill";
  let sent = false;
  const report = async (place) => {
    if (sent) return;
    sent = true;
    const answer = await board.commands.send(kind, { key: part.key, camera: picture.view?.camera || "", ...place });
    say.textContent = answer.answer;
    if (answer.state === "done") setTimeout(() => dialog.close(), 1500);
    else sent = false;
  };
  canvas.addEventListener("click", (event) => {
    const place = picture.cameraPoint(event.clientX, event.clientY);
    if (!place || sent) return;
    picture.point = place;
    picture.draw();
    report(place);
  });
  const cameras = (part.views || []).map((view) => view.camera);
  // A tap counts on the picture that stands there: none while another camera's is on its way, and the last wish wins.
  const load = async (camera) => {
    picture.camera = camera;
    picture.put(part, null);
    const bitmap = await fetchPicture(part, camera);
    if (picture.camera !== camera) return void bitmap?.close();
    picture.put(part, bitmap);
    without.hidden = Boolean(bitmap);
    if (!bitmap) say.textContent = t("operator.mark.no_picture");
  };
  const without = el("button", { type: "button", text: "operator.mark.without", hidden: true, onclick: () => report(null) });
  const switches = cameras.length > 1 ? cameras.map((camera) => el("button", { type: "button", onclick: () => load(camera) }, camera)) : [];
  const dialog = openDialog(board.inner, "mark", [
    head(`operator.mark.${kind}`, () => dialog.close()),
    el("p", { text: `operator.mark.${kind}.how` }), canvas,
    el("div", { class: "lg-head" }, say, el("div", { class: "lg-row" }, ...switches, without)),
  ]);
  load(cameras[0] || "");
}

// Which part slipped through: scan its code, or take one of the last that passed.
export function slipped(board) {
  const say = el("div", { class: "lg-say", role: "status", text: "operator.slipped.scan" });
  const choose = (part) => {
    dialog.close();
    mark(board, "escape", part);
  };
  const tiles = el("div", { class: "lg-passed" }, ...board.state.passed.slice(0, 12).map((part) => {
    const canvas = el("canvas", { width: 176, height: 140 });
    fetchPicture(part, "").then((bitmap) => {
      if (!bitmap) return;
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close();
    }, () => {});
    return el("button", { type: "button", class: "lg-tile", "data-key": part.key, onclick: () => choose(part) }, canvas, el("b", {}, String(part.sequence)), el("span", {}, clock(new Date(part.utc_ns / 1e6))));
  }));
  const release = listen((code) => {
    say.textContent = t("operator.slipped.looking", { code });
    get(`/api/part/by-serial/${encodeURIComponent(code)}`).then(choose, (error) => {
      say.textContent = error instanceof Refused ? t(error.key, error.args) : String(error);
    });
  });
  const dialog = openDialog(board.inner, "slipped", [
    head("operator.mark.escape", () => dialog.close()), el("p", { text: "operator.slipped.how" }), tiles, say,
  ], release);
}
