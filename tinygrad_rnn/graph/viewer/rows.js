// Stretches in rows, like words in a paragraph: what `layout/rows.py` does once, done anew for each window
// and whenever a step is closed or opened. Coordinates of a stretch run from its left edge and from the line
// of the state.

const SPACE = 18,
  BETWEEN = 16,
  LANE = 9,
  CORNER = 6;

const leaving = (stretch, id) => [stretch.x + stretch.wide, stretch.y + stretch.outs.get(id)];
const arriving = (stretch, id) => [stretch.x, stretch.y + stretch.ins.get(id)];
const crossing = (last, first) =>
  [...last.outs.keys()].filter(id => first.ins.has(id)).sort((a, b) => last.outs.get(a) - last.outs.get(b));

// Where rows end. Steps stand below each other, behind what is left of the first one.
const broken = (stretches, width, left) => {
  const lanes = Math.max(...stretches.map(({ outs }) => outs.size)) * LANE,
    rows = [[]];
  let indent = left,
    x = left;
  for (const stretch of stretches) {
    const last = rows.at(-1);
    if (last.length && x + stretch.wide + lanes > width) {
      if (last.length === 1 && !last[0].step) indent = left;
      rows.push([]);
      x = Math.max(left + lanes + LANE, stretch.step ? indent : left);
    }
    rows.at(-1).push(stretch);
    stretch.x = x;
    x += stretch.wide + SPACE;
    if (!stretch.step && rows.at(-1).length === 1) indent = x;
  }
  return { rows, lanes };
};

// All get their places, from a corner on; told is how wide and how high it becomes.
const inRows = (stretches, width, left, top) => {
  const { rows, lanes } = broken(stretches, width, left);
  let y = top;
  rows.forEach((row, i) => {
    const following = rows[i + 1];
    y += Math.max(...row.map(({ up }) => up));
    for (const stretch of row) Object.assign(stretch, { y, row: i });
    y += Math.max(...row.map(({ down }) => down));
    for (const stretch of row) stretch.below = y;
    if (following) y += BETWEEN + crossing(row.at(-1), following[0]).length * LANE;
  });
  const right = Math.max(...stretches.map(({ x, wide }) => x + wide));
  return [right - left + (rows.length > 1 ? lanes : 0), y - top];
};

// The width at which all is shown largest, letters no larger than they are by themselves: then in as few rows
// as can be.
const suiting = (stretches, [across, down]) => {
  const ends = new Set();
  for (const from of stretches) {
    let wide = 0;
    for (const stretch of stretches.slice(stretches.indexOf(from))) {
      wide += stretch.wide + SPACE;
      ends.add(Math.ceil(wide / 20) * 20);
    }
  }
  let best = { size: 0 };
  for (const wide of [...ends].sort((a, b) => b - a).map(end => end + 60)) {
    const [width, height] = inRows(stretches, wide, 0, 0),
      size = Math.min(OWN_SIZE, across / width, down / height);
    if (size > best.size * 1.02) best = { size, wide };
  }
  return best.wide;
};

// -- ways between stretches, as an SVG path goes on

const towards = (corner, other) => {
  const [x, y] = [other[0] - corner[0], other[1] - corner[1]],
    length = Math.max(Math.abs(x) + Math.abs(y), 1e-9),
    part = Math.min(CORNER, length / 2) / length;
  return [corner[0] + x * part, corner[1] + y * part];
};
const square = corners =>
  corners
    .slice(1, -1)
    .map((corner, i) => `L${towards(corner, corners[i])}C${[corner, corner, towards(corner, corners[i + 2])]}`)
    .join("") + `L${corners.at(-1)}`;

const wayBetween = (one, other, id) => {
  const start = leaving(one, id),
    end = arriving(other, id),
    bend = (start[0] + end[0]) / 2;
  if (one.row === other.row) return `L${start}C${[bend, start[1], bend, end[1], ...end]}`;
  const all = crossing(one, other),
    turn = all.indexOf(id),
    outer = all.length - turn;
  const lane = one.below + BETWEEN / 2 + (outer - 1) * LANE,
    right = start[0] + outer * LANE,
    left = end[0] - (turn + 1) * LANE;
  return `L${start}${square([start, [right, start[1]], [right, lane], [left, lane], [left, end[1]], end])}`;
};
