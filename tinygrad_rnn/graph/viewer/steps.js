// Steps that close. A closed step is a small box in the middle of those lines that go in and out of it. What
// stands right of it in its row moves left, and below a row of closed steps all moves up, where that has
// nothing lie over anything else; arrows whose ends come nearer are drawn anew.

const shut = new Set(),
  places = new Map(),
  ownShapes = new WeakMap(),
  PADDING = 10,
  LINE = 18,
  HEAD = 7,
  GAP = 60,
  BESIDE = 22;

// Where everything stands when nothing is closed, and the signs: minus on a step, plus on a box that opens.
const measure = () => {
  if (places.has(svg)) return;
  const frame = id => drawn.get(id).querySelector("path, polygon").getBBox();
  places.set(
    svg,
    new Map([
      ...[...groups.keys()].map(id => [id, frame(id)]),
      ...[...boxes.keys()].map(id => [id, drawn.get(id).getBBox()]),
    ]),
  );
  const sign = (id, d) => {
    const { x, y, width } = places.get(svg).get(id);
    makeSvg(drawn.get(id), "path", { class: "handle", d: `M${x + width},${y}${d}`, stroke: "none" });
  };
  for (const id of groups.keys()) sign(id, "m-20,4h16v16h-16zm3,8h10");
  for (const box of data.boxes.filter(opens)) sign(box.id, "m-16,-18h16v16h-16zm3,8h10m-5,-5v10");
};

const right = ({ x, width }) => x + width,
  bottom = ({ y, height }) => y + height,
  middle = ({ y, height }) => y + height / 2;
const apart = (a, b) => Math.max(a.y - bottom(b), b.y - bottom(a));

// Rows of frames that stand beside each other, from above; what stands in no frame belongs to the nearest
// row.
const rowsOf = at => {
  const rows = [];
  for (const id of [...groups.keys()].sort((a, b) => at.get(a).y - at.get(b).y)) {
    const row = rows.find(({ frames }) =>
      frames.some(
        other => -apart(at.get(id), at.get(other)) > Math.min(at.get(id).height, at.get(other).height) / 2,
      ),
    );
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
  const frame = drawn.get(group.id),
    inside = data.boxes.filter(box => box.group === group.id).length;
  const made = makeSvg(frame, "g", { class: "cover" }),
    rect = makeSvg(made, "rect", { rx: 4 });
  const lines = [group.label, group.text, `${inside} boxes`].filter(Boolean);
  const texts = lines.map((line, i) =>
    makeSvg(made, "text", { x: PADDING, y: PADDING + LINE * (i + 0.75) }, line),
  );
  const size = {
    width: Math.max(...texts.map(text => text.getBBox().width)) + 2 * PADDING,
    height: LINE * lines.length + 2 * PADDING,
  };
  for (const name in size) rect.setAttribute(name, size[name]);
  return { made, ...size };
};

// The boxes that closed steps of a row become, all on one line, and how much room each of them gives away.
// What shares its place with something else gives none.
const shrink = (at, standing, covers, closed, row, together) => {
  const ends = arrows.flatMap(({ source, target }) => [
    [source, target],
    [target, source],
  ]);
  const crossing = ends.filter(
    ([end, other]) => closed.includes(standing.get(end)) && standing.get(other) !== standing.get(end),
  );
  const lines = crossing.length
    ? crossing.map(([end]) => middle(at.get(end)))
    : closed.map(id => middle(at.get(id)));
  const line = lines.reduce((a, b) => a + b, 0) / lines.length;
  return closed.map(id => {
    const frame = at.get(id),
      { width, height } = covers.get(id),
      others = row.filter(other => other !== id).map(other => at.get(other));
    const alone = others.every(other => other.x >= right(frame) - 1 || right(other) <= frame.x + 1);
    const gap = frame.x - Math.max(...others.map(right).filter(end => end <= frame.x + 1)),
      space = Math.max(0, GAP - gap);
    const gone = alone && together ? Math.max(0, frame.width - width - space) : 0;
    return {
      id,
      frame,
      gone,
      width,
      height,
      x: frame.x + (gone ? space : (frame.width - width) / 2),
      y: within(frame.y, line - height / 2, Math.max(frame.y, bottom(frame) - height)),
    };
  });
};

// Where all stands now: moved together, or where it was.
const arrange = (at, standing, covers, together) => {
  const now = new Map(at);
  const shift = (id, dx, dy) =>
    now.set(id, {
      x: at.get(id).x + dx,
      y: at.get(id).y + dy,
      width: at.get(id).width,
      height: at.get(id).height,
    });
  let up = 0;
  for (const { frames, loose } of groups.size ? rowsOf(at) : []) {
    const row = [...frames, ...loose],
      before = row.map(id => at.get(id));
    const small = shrink(
      at,
      standing,
      covers,
      frames.filter(id => shut.has(id)),
      row,
      together,
    );
    const after =
      together && small.length === frames.length ? [...small, ...loose.map(id => at.get(id))] : before;
    const above = Math.min(...after.map(box => box.y)) - Math.min(...before.map(box => box.y));
    const below = Math.max(...before.map(bottom)) - Math.max(...after.map(bottom));
    const left = id =>
      -small.reduce((sum, { frame, gone }) => sum + (at.get(id).x >= right(frame) - 1 ? gone : 0), 0);
    for (const id of row) shift(id, left(id), -up - above);
    for (const { id, x, y, width, height } of small)
      now.set(id, { x: x + left(id), y: y - up - above, width, height });
    up += above + below;
  }
  for (const { id, group } of data.boxes) {
    if (group && !shut.has(group))
      shift(id, now.get(group).x - at.get(group).x, now.get(group).y - at.get(group).y);
  }
  return now;
};

// Whether something lies over something else: rows that reach into each other cannot be moved apart from each
// other.
const collides = now => {
  const all = [...groups.keys(), ...data.boxes.filter(box => !box.group).map(box => box.id)].map(id =>
    now.get(id),
  );
  const over = (a, b) => apart(a, b) < 0 && a.x < right(b) && b.x < right(a);
  return all.some((a, i) => all.slice(i + 1).some(b => over(a, b)));
};

const translate = (element, dx, dy) =>
  dx || dy
    ? element.setAttribute("transform", `translate(${dx} ${dy})`)
    : element.removeAttribute("transform");
const layOut = () => {
  for (const made of svg.querySelectorAll(".cover")) made.remove();
  const standing = new Map(data.boxes.map(({ id, group }) => [id, shut.has(group) ? group : id]));
  const covers = new Map(
    data.groups.filter(group => shut.has(group.id)).map(group => [group.id, cover(group)]),
  );
  const at = places.get(svg),
    near = arrange(at, standing, covers, true),
    now = collides(near) ? arrange(at, standing, covers, false) : near;
  const moved = id => [now.get(id).x - at.get(id).x, now.get(id).y - at.get(id).y];
  for (const id of now.keys()) {
    drawn.get(id).classList.toggle("shut", shut.has(id));
    drawn.get(id).classList.toggle("hidden", standing.has(id) && standing.get(id) !== id);
    translate(drawn.get(id), ...(shut.has(id) ? [0, 0] : moved(id)));
  }
  for (const [id, { made }] of covers) translate(made, now.get(id).x, now.get(id).y);
  join(standing, now, moved);
};

// -- arrows

const shapesOf = element => [...element.querySelectorAll("path, polygon, text")];
const restore = element => {
  for (const shape of shapesOf(element))
    for (const [name, value] of ownShapes.get(shape) ?? []) shape.setAttribute(name, value);
};
// From side to side where one stands beside the other; else a closed step is left and entered from above and
// below.
const waysOut = (from, to, closed) => {
  if (apart(from, to) < 0 || right(from) <= to.x)
    return right(from) > to.x
      ? [
          [-1, 0],
          [1, 0],
        ]
      : [
          [1, 0],
          [-1, 0],
        ];
  const down = from.y < to.y ? 1 : -1;
  return [closed[0] ? [0, down] : [1, 0], closed[1] ? [0, -down] : [-1, 0]];
};
// `lane` is the height between both rows, for arrows from one row to the beginning of another.
const redraw = (element, from, to, lower, back, closed, lane) => {
  const [line] = element.getElementsByTagName("path"),
    width = Number(line.getAttribute("stroke-width") ?? 1);
  const [out, into] = waysOut(from, to, closed),
    along = ([x, y], [dx, dy], far) => [x + dx * far, y + dy * far];
  const side = (box, [dx, dy]) => [
    box.x + (box.width * (1 + dx)) / 2 + (dx ? 0 : lower),
    middle(box) + (box.height * dy) / 2 + (dy ? 0 : lower),
  ];
  const start = side(from, out),
    end = side(to, into),
    base = along(start, out, back ? HEAD + width : 0);
  const far = Math.hypot(end[0] - base[0], end[1] - base[1]),
    bend = within(16, far / 2, 90),
    label = along(base, out, Math.min(45, far / 2));
  const between = out[0] > 0 && into[0] < 0 && right(from) > to.x;
  const lanes = between
    ? [
        [base[0] + bend, lane],
        [(base[0] + end[0]) / 2, lane],
        [end[0] - bend, lane],
      ]
    : [];
  const points = [base, along(base, out, bend), ...lanes, along(end, into, bend), end];
  if (element.classList.contains("rev")) points.reverse();
  const half = (HEAD + width) / 2,
    across = [out[1], out[0]],
    corners = [along(base, across, half), start, along(base, across, -half)];
  const given = {
    path: { d: `M${points[0]}C${points.slice(1).join(" ")}` },
    polygon: { points: corners.join(" ") },
    text: { x: label[0], y: label[1] - 5 },
  };
  for (const shape of shapesOf(element)) {
    const names = Object.entries(given[shape.tagName]);
    if (!ownShapes.has(shape))
      ownShapes.set(
        shape,
        names.map(([name]) => [name, shape.getAttribute(name)]),
      );
    for (const [name, value] of names) shape.setAttribute(name, value);
  }
};

// What was moved together keeps its arrows, as does what has a sign in place of its far end; of others, those
// between the same two stand side by side, and whole, where signs cut them off.
const join = (standing, now, moved) => {
  const sides = new Map(),
    frameOf = id => now.get(boxes.get(id).group ?? id);
  for (const { id, source, target, back, signs } of arrows) {
    if (signs.length === 1) {
      const group = boxes.get(source).group ?? boxes.get(target).group;
      for (const one of [id, ...signs].map(of => drawn.get(of))) {
        one.classList.toggle("hidden", shut.has(group));
        translate(one, ...(shut.has(group) ? [0, 0] : moved(group)));
      }
      continue;
    }
    const element = drawn.get(id),
      ends = [standing.get(source), standing.get(target)],
      closed = ends.map(end => shut.has(end));
    const [from, to] = ends.map(moved),
      together = !closed.some(Boolean) && from.every((by, i) => by === to[i]),
      inside = ends[0] === ends[1];
    element.classList.toggle("hidden", inside && closed[0]);
    restore(element);
    translate(element, ...(together ? from : [0, 0]));
    for (const sign of signs) {
      drawn.get(sign).classList.toggle("hidden", !together);
      translate(drawn.get(sign), ...(together ? from : [0, 0]));
    }
    if (together || inside) continue;
    const pair = ends.join(" "),
      [upper, below] = [source, target].map(frameOf).sort((a, b) => a.y - b.y);
    if (!sides.has(pair)) sides.set(pair, []);
    sides
      .get(pair)
      .push(lower =>
        redraw(element, ...ends.map(end => now.get(end)), lower, back, closed, (bottom(upper) + below.y) / 2),
      );
  }
  for (const all of sides.values()) all.forEach((draw, i) => draw((i - (all.length - 1) / 2) * BESIDE));
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
  press(
    one("#fold"),
    data.groups.every(group => shut.has(group.id)),
  );
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
