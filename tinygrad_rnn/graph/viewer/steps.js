// Steps that close: a closed one is a small box, and all that follows comes nearer. Where rows end suits the
// window.

const shut = new Set(),
  ownShapes = new WeakMap(),
  PADDING = 10,
  LINE = 18,
  HEAD = 7,
  APART = 16;
let rowWidth;

// The signs: minus on a step, plus on a box that opens. What has no name lies in the frame of its step.
const signed = new WeakSet();
const measure = () => {
  if (signed.has(svg)) return;
  signed.add(svg);
  const sign = (id, { x, y, width }, d) =>
    makeSvg(drawn.get(id), "path", { class: "handle", d: `M${x + width},${y}${d}`, stroke: "none" });
  for (const box of data.boxes.filter(opens))
    sign(box.id, drawn.get(box.id).getBBox(), "m-16,-18h16v16h-16zm3,8h10m-5,-5v10");
  for (const id of groups.keys())
    sign(id, drawn.get(id).firstChild.getBBox(), "m-20,4h16v16h-16zm3,8h10");
  const bands = [...svg.querySelectorAll("g.cluster:not([id])")].map(band => [band, band.getBBox()]);
  for (const stretch of data.stretches) {
    const [left, top, right, bottom] = stretch.frame,
      holds = ({ x, y }) => x >= left - 1 && x < right && y >= top && y < bottom;
    stretch.things = [...stretch.boxes, ...stretch.signs].map(id => drawn.get(id));
    stretch.things.push(...bands.filter(([, box]) => holds(box)).map(([band]) => band));
  }
};

// What covers a closed step: what it is called, and what is in it.
const cover = group => {
  const made = makeSvg(drawn.get(group.id), "g", { class: "cover" }),
    rect = makeSvg(made, "rect", { rx: 4 });
  const inside = data.boxes.filter(box => box.group === group.id).length;
  const lines = [group.label, group.text, `${inside} boxes`].filter(Boolean);
  const texts = lines.map((line, i) =>
    makeSvg(made, "text", { x: PADDING, y: PADDING + LINE * (i + 0.75) }, line),
  );
  const width = Math.max(...texts.map(text => text.getBBox().width)) + 2 * PADDING,
    height = LINE * lines.length + 2 * PADDING;
  rect.setAttribute("width", width);
  rect.setAttribute("height", height);
  return { made, width, height };
};

// -- stretches

const labelOf = id => Number(drawn.get(id).querySelector("text")?.getAttribute("textLength"));
const spread = ids => new Map(ids.map((id, i) => [id, (i - (ids.length - 1) / 2) * APART]));

// A stretch as it stands now: open, or closed, with room for the numbers of what goes out.
const stretchNow = ({ group, frame, level, ways, boxes: within, things }) => {
  const own = new Set(within),
    [left, top, right, bottom] = frame;
  const comes = ways.filter(([id]) => !own.has(ends.get(id).source)),
    goes = ways.filter(([id]) => !own.has(ends.get(id).target));
  const now = { group, things, step: Boolean(group), left, level, ways: new Map(ways), closed: shut.has(group) };
  if (!now.closed) {
    const height = (all, at) => new Map(all.map(([id, way]) => [id, way.at(at)[1] - level]));
    const size = { wide: right - left, up: level - top, down: bottom - level };
    return Object.assign(now, size, { ins: height(comes, 0), outs: height(goes, -1) });
  }
  const inOrder = (all, at) => all.sort(([, a], [, b]) => a.at(at)[1] - b.at(at)[1]).map(([id]) => id);
  const ins = spread(inOrder(comes, 0)),
    outs = spread(inOrder(goes, -1)),
    covered = cover(groups.get(group));
  const most = Math.max(ins.size, outs.size) * APART,
    half = Math.max(covered.height, most) / 2;
  const room = outs.size ? 2 * HEAD + Math.max(...[...outs.keys()].map(labelOf)) : 0;
  return Object.assign(now, { ins, outs, wide: covered.width + room, up: half, down: half, covered });
};

const translate = (element, dx, dy) =>
  dx || dy
    ? element.setAttribute("transform", `translate(${dx} ${dy})`)
    : element.removeAttribute("transform");
const carry = (element, { closed, x, y, left, level }) => {
  element.classList.toggle("hidden", closed);
  if (!element.classList.length) element.removeAttribute("class");
  translate(element, x - left, y - level);
};

let ends;
const layOut = suited => {
  for (const made of svg.querySelectorAll(".cover")) made.remove();
  if (!data.stretches.length) return;
  ends = byId(arrows);
  const all = data.stretches.map(stretchNow),
    left = data.stretches[0].frame[0],
    top = Math.min(...data.stretches.map(({ frame }) => frame[1]));
  if (suited) rowWidth = suiting(all, room());
  inRows(all, left + rowWidth, left, top);
  for (const stretch of all) {
    const { group, things, closed, covered, x, y } = stretch;
    for (const thing of things) carry(thing, stretch);
    if (!group) continue;
    drawn.get(group).classList.toggle("shut", closed);
    if (closed) translate(covered.made, x, y - covered.height / 2);
    translate(drawn.get(group), ...(closed ? [0, 0] : [x - stretch.left, y - stretch.level]));
  }
  join(all);
};

// -- arrows

const restore = shape => {
  if (!ownShapes.has(shape))
    ownShapes.set(
      shape,
      ["d", "points", "x", "y"].map(name => [name, shape.getAttribute(name)]).filter(([, value]) => value),
    );
  for (const [name, value] of ownShapes.get(shape)) shape.setAttribute(name, value);
};

// From stretch to stretch; a closed one is left with a head of the arrow's own width.
const redraw = (id, stretches) => {
  const element = drawn.get(id),
    [path] = element.getElementsByTagName("path"),
    [first] = stretches,
    width = Number(path.getAttribute("stroke-width") ?? 1);
  const moved = (stretch, points) =>
    points.map(([x, y]) => [x + stretch.x - stretch.left, y + stretch.y - stretch.level]);
  const [polygon] = element.getElementsByTagName("polygon"),
    [text] = element.getElementsByTagName("text");
  let d;
  for (const shape of element.children) translate(shape, 0, 0);
  if (first.closed) {
    const x = first.x + first.covered.width + 1.5,
      y = first.y + first.outs.get(id),
      half = 2.4 + width / 2,
      base = polygon ? x + HEAD : x;
    polygon?.setAttribute("points", `${base},${y - half} ${x},${y} ${base},${y + half}`);
    text?.setAttribute("x", base + HEAD / 2 + labelOf(id) / 2);
    text?.setAttribute("y", y - width / 2 - 3);
    d = `M${base},${y}`;
  } else {
    const [start] = path.getAttribute("d").match(/[-\d.]+[ ,][-\d.]+/);
    for (const shape of [polygon, text].filter(Boolean)) carry(shape, first);
    d = `M${moved(first, [start.split(/[ ,]/).map(Number)])}`;
  }
  stretches.forEach((stretch, i) => {
    if (i) d += wayBetween(stretches[i - 1], stretch, id);
    const bends = stretch.closed ? [] : moved(stretch, stretch.ways.get(id)).slice(1);
    if (bends.length) d += `C${bends}`;
  });
  path.setAttribute("d", d);
};

// An arrow within a stretch moves with it; one that is cut off, each part with its own; others go from one to
// the next.
const join = all => {
  const standing = new Map(
    data.stretches.flatMap(({ boxes }, i) => boxes.map(id => [id, all[i]])),
  );
  for (const { id, source, target, signs } of arrows) {
    const [begins, stops] = signs,
      shapes = [...drawn.get(id).children],
      [from, to] = [source, target].map(end => standing.get(end)),
      through = all.filter(({ ways }) => ways.has(id));
    shapes.forEach(restore);
    if (through.length > 1) redraw(id, through);
    else
      shapes.forEach((shape, i) => carry(shape, begins && (!stops || (i && shape.tagName === "path")) ? to : from));
    drawn.get(id).classList.toggle("hidden", shapes.every(shape => shape.classList.contains("hidden")));
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
  press(
    one("#fold"),
    data.groups.every(group => shut.has(group.id)),
  );
  rewind();
  layOut(all.length > 1);
  if (fitted) survey();
  else whole = svg.getBBox();
  rove(firstVisible());
  find();
};
on(one("#fold"), "click", () => {
  closeAll(data.groups, one("#fold").getAttribute("aria-pressed") !== "true");
  fit();
});
