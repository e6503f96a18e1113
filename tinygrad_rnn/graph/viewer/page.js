// Keys, clicks and switches, and the beginning.

const rove = id => {
  for (const other of boxes.keys()) drawn.get(other).setAttribute("tabindex", other === id ? 0 : -1);
};
const moves = {
  ArrowRight: (ids, at) => ids[ids.indexOf(at) + 1],
  ArrowLeft: (ids, at) => ids[ids.indexOf(at) - 1],
  ArrowUp: (ids, at) => ids.find(id => arrows.some(arrow => arrow.source === at && arrow.target === id)),
  ArrowDown: (ids, at) => ids.find(id => arrows.some(arrow => arrow.target === at && arrow.source === id)),
  Home: ids => ids[0],
  End: ids => ids.at(-1),
};

const boxOf = event => boxes.get(event.target.closest("g.node")?.id);
// A step is closed at its title, its sign or its focus, and opened anywhere: a click beside its boxes is no
// click on it.
const titleOf = event => {
  const frame = event.target.closest("g.cluster");
  return event.target === frame || event.target.closest("text, .handle, .cover")
    ? groups.get(frame?.id)
    : undefined;
};
const act = event => {
  const box = boxOf(event),
    group = titleOf(event);
  if (opens(box) && (box === pinned || event.target.matches(".handle"))) enter(box.id);
  else if (box) pin(box === pinned ? null : box);
  else if (group) close(group);
};
on(picture, "click", act);
on(picture, "keydown", event => {
  const box = boxOf(event);
  if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  if (box && moves[event.key])
    drawn.get(moves[event.key]([...boxes.keys()].filter(visible), box.id))?.focus({ preventScroll: true });
  else if (event.key === "Enter" || event.key === " ") act(event);
  else return;
  event.preventDefault();
});

const PACE = 80,
  directions = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const shortcuts = {
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: () => turn(x, y, OWN_SIZE),
  f: fit,
  "/": () => field.focus(),
  p: toggle,
  ".": () => step(1),
  ",": () => step(-1),
};
on(document, "keydown", event => {
  const { key, shiftKey, target } = event,
    direction = directions[key],
    nowhere = document.activeElement === document.body;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || target === field) return;
  if (key === "Escape") {
    if (pinned || time.value > 0 || walk.at >= 0) clear();
    else back();
  } else if (direction && (nowhere || (shiftKey && target.closest("#picture"))))
    move(...direction.map(by => by * PACE));
  else if (key === " " && nowhere) toggle();
  else if (shortcuts[key] && target !== one("#speed")) shortcuts[key]();
  else return;
  event.preventDefault();
});

on(picture, "pointerover", event => walk.at < 0 && tell(boxOf(event) ?? pinned));
on(picture, "pointerleave", () => walk.at < 0 && tell(pinned));
on(picture, "focusin", event => {
  const box = boxOf(event),
    group = groups.get(event.target.closest("g.cluster")?.id);
  if ((box || group) && event.target.matches(":focus-visible")) bring(event.target.id);
  if (!box) return;
  rove(box.id);
  tell(box);
});

const tellTime = () => {
  const moment = data.moments[time.value - 1];
  one("#clock output").textContent = moment
    ? [moment.label, moment.text].filter(Boolean).join(": ")
    : "all steps";
  time.setAttribute("aria-valuetext", one("#clock output").textContent);
  return moment;
};
const tick = () => {
  const moment = tellTime();
  if (moment) bring(moment.at[0]);
  shade();
};
on(time, "input", () => {
  rewind();
  tick();
});
for (const radio of document.querySelectorAll("[name=direction]")) {
  on(radio, "change", () => document.body.classList.toggle("forward", radio.value === "forward"));
}
on(one("#gains"), "change", event => document.body.classList.toggle("numberless", !event.target.checked));
on(one("#back"), "click", back);
one("#opening").hidden = pictures.length < 2;
show("");
