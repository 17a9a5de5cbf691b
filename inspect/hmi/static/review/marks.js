// What lies over picture and mask: the model's boxes, the line being drawn, the brush's outline.

export function drawMarks(editor, context, view) {
  context.lineWidth = 1.5 * view.ratio;
  for (const box of view.hidden ? [] : editor.boxes) {
    const [x0, y0] = view.toWindow(box[0], box[1]), [x1, y1] = view.toWindow(box[0] + box[2], box[1] + box[3]);
    context.setLineDash([6 * view.ratio, 4 * view.ratio]);
    context.strokeStyle = "#ffffffb0";
    context.strokeRect(x0 - 4, y0 - 4, x1 - x0 + 8, y1 - y0 + 8);
    context.setLineDash([]);
  }
  if (editor.line) {
    context.beginPath();
    const points = editor.action === "box" ? corners(editor.line) : editor.line;
    points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...view.toWindow(x, y)));
    for (const [width, colour] of [[3.5, "#000a"], [1.5, "#fff"]]) {
      context.lineWidth = width * view.ratio;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
  if (editor.cursor && !editor.readOnly && (editor.tool === "brush" || editor.tool === "erase")) {
    context.beginPath();
    context.arc(...view.toWindow(...editor.cursor), Math.max(2, (editor.size / 2) * view.scale), 0, 2 * Math.PI);
    for (const [width, colour] of [[3, "#0008"], [1.25, "#fff"]]) {
      context.lineWidth = width * view.ratio;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
}

function corners([[ax, ay], [bx, by]]) {
  return [[ax, ay], [bx, ay], [bx, by], [ax, by], [ax, ay]];
}
