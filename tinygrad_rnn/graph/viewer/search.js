// The search: in this picture and in those inside of its boxes. Found is what has the words in its label, its
// name, its operation or its shape.

const SEARCHED = new Set(["name", "result", "operation", "case", "shape", "kind", "module", "step"]);
const field = one("#search");
let matches = [],
  current = null;

const words = box =>
  [box.label, ...box.facts.filter(([name]) => SEARCHED.has(name)).map(([, text]) => text)]
    .join("\n")
    .toLowerCase();
const find = () => {
  const wanted = field.value.trim().toLowerCase();
  matches = wanted
    ? pictures.flatMap(({ of, boxes }) =>
        boxes.filter(box => words(box).includes(wanted)).map(({ id }) => ({ of, id })),
      )
    : [];
  const found = new Set(matches.map(match => match.id)),
    turn = matches.findIndex(match => match.id === current);
  for (const id of boxes.keys()) {
    drawn.get(id).classList.toggle("found", found.has(id));
    drawn.get(id).classList.toggle("current", turn >= 0 && id === current);
  }
  const told = turn < 0 ? `${matches.length} found` : `${turn + 1} of ${matches.length}`;
  one("#count").textContent = !wanted ? "" : matches.length ? told : "nothing found";
};
const seek = by => {
  if (!matches.length) return;
  const turn = matches.findIndex(match => match.id === current);
  const { of, id } =
    matches[turn < 0 ? (by < 0 ? matches.length - 1 : 0) : (turn + by + matches.length) % matches.length];
  current = id;
  reach(of, id);
  find();
  tell(boxes.get(id));
};
on(field, "input", () => {
  current = null;
  find();
});
on(field, "keydown", event => {
  if (event.key === "Enter") seek(event.shiftKey ? -1 : 1);
  if (event.key !== "Escape") return;
  field.value = "";
  current = null;
  find();
  field.blur();
  event.stopPropagation();
});
