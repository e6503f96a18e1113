// What stands on the page, and which picture is shown: that of the whole, or one inside of a box.

const byId = all => new Map(all.map(one => [one.id, one]));
const pictures = JSON.parse(one("#data").textContent),
  place = new Map(pictures.map(({ of }, i) => [of, i]));
const picture = one("#picture"),
  svgs = [...picture.children],
  time = one("#time");
const still = matchMedia("(prefers-reduced-motion: reduce)"),
  framed = top !== self;
let data,
  svg,
  boxes,
  groups,
  arrows,
  onward,
  drawn,
  pinned = null;

const press = (button, pressed) => button.setAttribute("aria-pressed", pressed);
const opens = box => box && place.has(box.id);
const visible = id => !drawn.get(id).classList.contains("hidden");
const firstVisible = () => [...boxes.keys()].find(visible);

const asButton = (id, label, given) => {
  for (const name in given) drawn.get(id).setAttribute(name, given[name]);
  drawn.get(id).setAttribute("role", "button");
  drawn.get(id).setAttribute("aria-label", label);
};
const show = of => {
  rewind();
  data = pictures[place.get(of)];
  svg = svgs[place.get(of)];
  for (const other of svgs) other.toggleAttribute("hidden", other !== svg);
  boxes = byId(data.boxes);
  groups = byId(data.groups);
  arrows = data.arrows.map(([id, source, target, back, size, gain, signs]) => ({
    id,
    source,
    target,
    back,
    size: size ?? Infinity,
    gain,
    signs,
  }));
  onward = new Map(
    data.boxes.map(box => [box.id, arrows.filter(arrow => arrow.back && arrow.source === box.id)]),
  );
  drawn = byId([...svg.querySelectorAll("g[id]")]);
  one("h1").textContent = data.title;
  svg.setAttribute("aria-label", data.title);
  one("#legend").replaceChildren();
  for (const [css, text] of data.legend) make(one("#legend"), "li", text, css);
  one("#notes").replaceChildren();
  for (const note of data.notes) make(one("#notes"), "p", note, "note");
  for (const box of data.boxes) {
    asButton(
      box.id,
      [box.label, ...box.facts.map(fact => fact.join(" ")), opens(box) ? "can be opened" : []]
        .flat()
        .join(", "),
    );
  }
  for (const group of data.groups)
    asButton(group.id, `${group.label} ${group.text}`, { tabindex: 0, "aria-expanded": !shut.has(group.id) });
  for (const { id, back } of arrows) {
    drawn.get(id).setAttribute("aria-hidden", true);
    drawn.get(id).classList.toggle("quiet", !back);
  }
  time.max = data.moments.length;
  one("#clock").hidden = !data.moments.length;
  one("#fold").hidden = one("#closing").hidden = !data.groups.length;
  one("#gains").disabled = !data.measured;
  one("#back").hidden = !of;
  one("#back").textContent = data.within ? "back" : "back to the whole";
  tellSmallest();
  measure();
  fit();
  rove(firstVisible());
  find();
  tick();
};
const clear = () => {
  rewind();
  time.value = 0;
  tick();
  pin(null);
};
const enter = (of, focused) => {
  clear();
  show(of);
  drawn.get(focused ?? firstVisible())?.focus({ preventScroll: true });
  tell(null);
};
const back = () => data.of && enter(data.within, data.of);

// To a box: its picture is shown, its step opened, and it is brought into view.
const reach = (of, id) => {
  if (data.of !== of) {
    clear();
    show(of);
  }
  const group = groups.get(boxes.get(id).group);
  if (group) close(group, false);
  bring(id, 1);
};
const go = id => {
  reach(data.of, id);
  pin(boxes.get(id));
  drawn.get(id).focus({ preventScroll: true });
};
