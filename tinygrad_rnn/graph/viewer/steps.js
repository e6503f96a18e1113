// Steps that close. A closed step is a small box in the middle of those lines that go in and out of it. What stands right of it
// in its row moves left, and below a row of closed steps all moves up; arrows whose ends come nearer are drawn anew.

const shut = new Set(), places = new Map(), ownShapes = new WeakMap(), PADDING = 10, LINE = 18, HEAD = 7, GAP = 60, BESIDE = 22;

// Where everything stands when nothing is closed, and the signs: minus on a step, plus on a box that opens.
const measure = () => {
  if (places.has(svg)) return;
  const frame = id => drawn.get(id).querySelector("path, polygon").getBBox();
  places.set(svg, new Map([...[...groups.keys()].map(id => [id, frame(id)]), ...[...boxes.keys()].map(id => [id, drawn.get(id).getBBox()])]));
  const sign = (id, d) => {
    const { x, y, width } = places.get(svg).get(id);
    makeSvg(drawn.get(id), "path", { class: "handle", d: `M${x + width},${y}${d}`, stroke: "none" });
  };
  for (const id of groups.keys()) sign(id, "m-20,4h16v16h-16zm3,8h10");
  for (const box of data.boxes.filter(opens)) sign(box.id, "m-16,-18h16v16h-16zm3,8h10m-5,-5v10");
};

const right = ({ x, width }) => x + width, bottom = ({ y, height }) => y + height, middle = ({ y, height }) => y + height / 2;
const apart = (a, b) => Math.max(a.y - bottom(b), b.y - bottom(a));

// Rows of frames that stand beside each other, from above; what stands in no frame belongs to the nearest row.
const rowsOf = at => {
  const rows = [];
  for (const id of [...groups.keys()].sort((a, b) => at.get(a).y - at.get(b).y)) {
    const row = rows.find(({ frames }) => frames.some(other => -apart(at.get(id), at.get(other)) > Math.min(at.get(id).height, at.get(other).height) / 2));
    if (row) row.frames.push(id);
    else rows.push({ frames: [id], loose: [] });
  }
  for (const { id, group } of data.boxes) {
    if (group) continue;
    const far = ({ frames }) => Math.min(...frames.map(frame => apart(at.get(id), at.get(frame))));
    rows.reduce((best, row) => (far(row) < far(best) ? row : best)).loose.push(id);
  }
  return rows;
};

// What covers a closed step: what it is called, and what is in it.
const cover = group => {
  const frame = drawn.get(group.id), inside = data.boxes.filter(box => box.group === group.id).length;
  const made = makeSvg(frame, "g", { class: "cover" }), rect = makeSvg(made, "rect", { rx: 4 });
  const lines = [group.label, group.text, `${inside} boxes`].filter(Boolean);
  const texts = lines.map((line, i) => makeSvg(made, "text", { x: PADDING, y: PADDING + LINE * (i + 0.75) }, line));
  const size = { width: Math.max(...texts.map(text => text.getBBox().width)) + 2 * PADDING, height: LINE * lines.length + 2 * PADDING };
  for (const name in size) rect.setAttribute(name, size[name]);
  return { made, ...size };
};

// The boxes that closed steps of a row become, all on one line, and how much room each of them gives away. What shares its place
// with something else gives none.
const shrink = (at, standing, covers, closed, row) => {
  const ends = arrows.flatMap(({ source, target }) => [[source, target], [target, source]]);
  const crossing = ends.filter(([end, other]) => closed.includes(standing.get(end)) && standing.get(other) !== standing.get(end));
  const lines = crossing.length ? crossing.map(([end]) => middle(at.get(end))) : closed.map(id => middle(at.get(id)));
  const line = lines.reduce((a, b) => a + b, 0) / lines.length;
  return closed.map(id => {
    const frame = at.get(id), { width, height } = covers.get(id), others = row.filter(other => other !== id).map(other => at.get(other));
    const alone = others.every(other => other.x >= right(frame) - 1 || right(other) <= frame.x + 1);
    const gap = frame.x - Math.max(...others.map(right).filter(end => end <= frame.x + 1)), space = Math.max(0, GAP - gap);
    const gone = alone ? Math.max(0, frame.width - width - space) : 0;
    return {
      id, frame, gone, width, height, x: frame.x + (gone ? space : (frame.width - width) / 2),
      y: within(frame.y, line - height / 2, Math.max(frame.y, bottom(frame) - height)),
    };
  });
};

const layOut = () => {
  const at = places.get(svg), now = new Map(at), standing = new Map(data.boxes.map(({ id, group }) => [id, shut.has(group) ? group : id]));
  const shift = (id, dx, dy) => now.set(id, { x: at.get(id).x + dx, y: at.get(id).y + dy, width: at.get(id).width, height: at.get(id).height });
  for (const made of svg.querySelectorAll(".cover")) made.remove();
  const covers = new Map(data.groups.filter(group => shut.has(group.id)).map(group => [group.id, cover(group)]));
  let up = 0;
  for (const { frames, loose } of groups.size ? rowsOf(at) : []) {
    const row = [...frames, ...loose], before = row.map(id => at.get(id));
    const small = shrink(at, standing, covers, frames.filter(id => shut.has(id)), row);
    const after = small.length === frames.length ? [...small, ...loose.map(id => at.get(id))] : before;
    const above = Math.min(...after.map(box => box.y)) - Math.min(...before.map(box => box.y));
    const below = Math.max(...before.map(bottom)) - Math.max(...after.map(bottom));
    const left = id => -small.reduce((sum, { frame, gone }) => sum + (at.get(id).x >= right(frame) - 1 ? gone : 0), 0);
    for (const id of row) shift(id, left(id), -up - above);
    for (const { id, x, y, width, height } of small) now.set(id, { x: x + left(id), y: y - up - above, width, height });
    up += above + below;
  }
  for (const { id, group } of data.boxes) {
    if (group && !shut.has(group)) shift(id, now.get(group).x - at.get(group).x, now.get(group).y - at.get(group).y);
  }
  const translate = (element, dx, dy) => (dx || dy ? element.setAttribute("transform", `translate(${dx} ${dy})`) : element.removeAttribute("transform"));
  const moved = id => [now.get(id).x - at.get(id).x, now.get(id).y - at.get(id).y];
  for (const id of now.keys()) {
    drawn.get(id).classList.toggle("shut", shut.has(id));
    drawn.get(id).classList.toggle("hidden", standing.has(id) && standing.get(id) !== id);
    translate(...(shut.has(id) ? [drawn.get(id), 0, 0] : [drawn.get(id), ...moved(id)]));
  }
  for (const [id, { made }] of covers) translate(made, now.get(id).x, now.get(id).y);
  const sides = new Map();
  for (const { id, source, target, back } of arrows) {
    const element = drawn.get(id), ends = [standing.get(source), standing.get(target)], pair = ends.join(" ");
    const [from, to] = ends.map(end => (shut.has(end) ? [] : moved(end))), together = from.length && from.every((by, i) => by === to[i]);
    element.classList.toggle("hidden", ends[0] === ends[1] && shut.has(ends[0]));
    restore(element);
    translate(element, ...(together ? from : [0, 0]));
    if (together || ends[0] === ends[1]) continue;
    if (!sides.has(pair)) sides.set(pair, []);
    sides.get(pair).push(lower => redraw(element, now.get(ends[0]), now.get(ends[1]), lower, back));
  }
  for (const all of sides.values()) all.forEach((draw, i) => draw((i - (all.length - 1) / 2) * BESIDE));
};

// -- arrows

const shapesOf = element => [...element.querySelectorAll("path, polygon, text")];
const restore = element => {
  for (const shape of shapesOf(element)) for (const [name, value] of ownShapes.get(shape) ?? []) shape.setAttribute(name, value);
};
const redraw = (element, from, to, lower, back) => {
  const [line] = element.getElementsByTagName("path"), width = Number(line.getAttribute("stroke-width") ?? 1);
  const level = apart(from, to) < 0 || right(from) <= to.x, turned = level && right(from) > to.x;
  const side = ({ x, y, width, height }, out) => (level ? [out > 0 ? x + width : x, y + height / 2 + lower] : [x + width / 2 + lower, out > 0 ? y + height : y]);
  const out = level ? (turned ? -1 : 1) : from.y < to.y ? 1 : -1, start = side(from, out), end = side(to, -out);
  const along = ([x, y], far) => (level ? [x + far * out, y] : [x, y + far * out]);
  const head = back ? HEAD + width : 0, base = along(start, head), bend = within(16, Math.hypot(end[0] - base[0], end[1] - base[1]) / 2, 90);
  const points = [base, along(base, bend), along(end, -bend), end];
  if (element.classList.contains("rev")) points.reverse();
  const across = level ? [0, HEAD / 2 + width / 2] : [HEAD / 2 + width / 2, 0];
  const corners = [[base[0] + across[0], base[1] + across[1]], start, [base[0] - across[0], base[1] - across[1]]];
  const label = along(base, Math.min(45, Math.hypot(end[0] - base[0], end[1] - base[1]) / 2));
  const given = {
    path: { d: `M${points[0]}C${points.slice(1).join(" ")}` },
    polygon: { points: corners.join(" ") },
    text: { x: label[0], y: label[1] - 5 },
  };
  for (const shape of shapesOf(element)) {
    const names = Object.entries(given[shape.tagName]);
    if (!ownShapes.has(shape)) ownShapes.set(shape, names.map(([name]) => [name, shape.getAttribute(name)]));
    for (const [name, value] of names) shape.setAttribute(name, value);
  }
};

// -- closing

const close = (group, wanted = !shut.has(group.id)) => {
  if (wanted === shut.has(group.id)) return;
  closeAll([group], wanted);
};
const closeAll = (all, wanted) => {
  for (const { id } of all) {
    if (wanted) shut.add(id);
    else shut.delete(id);
    drawn.get(id).setAttribute("aria-expanded", !wanted);
  }
  press(one("#fold"), data.groups.every(group => shut.has(group.id)));
  rewind();
  layOut();
  whole = svg.getBBox();
  if (fitted) fit();
  rove(firstVisible());
  find();
};
on(one("#fold"), "click", () => {
  closeAll(data.groups, one("#fold").getAttribute("aria-pressed") !== "true");
  fit();
});
