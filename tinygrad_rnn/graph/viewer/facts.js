// What is told of a box, and its way to the loss: all boxes that a residual passes before it comes here, and
// at each fork the larger residual.

const facts = one("#facts");

const wayOf = start => {
  const met = new Set([start]),
    strongest = [];
  for (const id of met) for (const arrow of onward.get(id)) met.add(arrow.target);
  for (let at = start; data.measured && onward.get(at).length; at = strongest.at(-1).target) {
    strongest.push(onward.get(at).reduce((best, arrow) => (arrow.size > best.size ? arrow : best)));
  }
  return { met, strongest, ends: [...met].filter(id => !onward.get(id).length) };
};

// Bright is what lies on the way of what is pinned; else what the residual has walked so far; else the moment
// of the slider.
const shade = () => {
  const moment = data.moments[time.value - 1],
    at = new Set(moment && moment.at);
  const way = pinned && wayOf(pinned.id),
    walked = !way && walk.at >= 0 && walkedSoFar();
  const lit = id => (way ? way.met : walked ? walked.met : at.size && at)?.has?.(id) ?? true;
  const litBox = id => lit(id) || (!way && !walked && at.has(boxes.get(id).group));
  const litArrow = ({ id, source, target, back }) =>
    walked ? walked.arrows.has(id) : litBox(target) && (!way || (back && litBox(source)));
  const strong = new Set(way && way.strongest.flatMap(arrow => [arrow.id, arrow.source, arrow.target]));
  const mark = (id, bright) => {
    drawn.get(id).classList.toggle("dim", !bright);
    drawn.get(id).classList.toggle("strong", strong.has(id));
  };
  for (const [id, box] of boxes) {
    mark(id, litBox(id));
    drawn.get(id).classList.toggle("pinned", box === pinned);
    drawn.get(id).setAttribute("aria-pressed", box === pinned);
  }
  for (const arrow of arrows) mark(arrow.id, litArrow(arrow));
  for (const id of groups.keys()) drawn.get(id).classList.toggle("now", at.has(id));
};

const number = value => String(Number(value.toPrecision(3)));
const label = id => boxes.get(id).label || "(no name)";
const link = (parent, id, text = label(id)) => {
  const made = make(parent, "button", text, "go");
  made.type = "button";
  on(made, "click", () => go(id));
};
const links = (title, all, end) => {
  if (!all.length) return;
  make(facts, "h3", title);
  const list = make(facts, "ul", "", "links");
  for (const arrow of all) {
    const line = make(list, "li", "");
    link(line, arrow[end]);
    if (arrow.back && Number.isFinite(arrow.size))
      make(line, "span", ` residual ${number(arrow.size)}`, "note");
  }
};

const tell = box => {
  facts.replaceChildren();
  one("#hint").hidden = box;
  if (!box) return;
  make(facts, "h2", box.label);
  const list = make(facts, "dl", "");
  for (const [name, text] of box.facts) {
    make(list, "dt", name);
    make(list, "dd", text);
  }
  if (opens(box))
    make(
      facts,
      "p",
      box === pinned ? "Click it once more, or press Enter, to see its operations." : "It can be opened.",
      "note",
    );
  if (box !== pinned && !walking(box)) return;
  if (box.rule.length) make(facts, "h3", "Rule");
  for (const line of box.rule) make(facts, "p", line, "rule");
  if (box !== pinned) return;
  links(
    "Computed from",
    arrows.filter(arrow => arrow.target === box.id),
    "source",
  );
  links(
    "Needed by",
    arrows.filter(arrow => arrow.source === box.id),
    "target",
  );
  const { met, strongest, ends } = wayOf(box.id);
  make(facts, "h3", data.of ? "Way to the loss, inside of the box" : "Way to the loss");
  make(
    facts,
    "p",
    met.size > 1
      ? `All ways to ${ends.map(label).join(", ")}: ${met.size - 1} boxes.`
      : "It begins here, or nothing comes here.",
  );
  if (!strongest.length) return;
  const way = make(facts, "p", `In bold, at each fork the larger residual: ${label(box.id)}`, "way");
  for (const arrow of strongest) {
    way.append(" → ");
    link(way, arrow.target);
  }
};

const pin = box => {
  if (box) rewind();
  pinned = box;
  shade();
  tell(pinned);
};

// Where the residual loses most: additions pass it on, so they are not among them. Where all of it is lost, as
// at a state that begins with zeros, is told only if it is lost nowhere else.
const tellSmallest = () => {
  const losing = arrows.filter(arrow => arrow.gain != null && arrow.gain < 1),
    some = losing.filter(arrow => arrow.gain > 0);
  const smallest = (some.length ? some : losing).sort((a, b) => a.gain - b.gain).slice(0, 5),
    list = one("#smallest");
  list.replaceChildren();
  if (!smallest.length) return;
  make(list, "h3", "Smallest gains");
  const lines = make(list, "ul", "", "links");
  for (const { source, target, gain } of smallest) {
    const line = make(lines, "li", `×${number(gain)} `);
    link(line, target);
    line.append(" to ");
    link(line, source);
    const group = groups.get(boxes.get(target).group);
    if (group) make(line, "span", `, ${group.label}`, "note");
  }
};
