// The view: what is seen of the picture. (x, y) is what stands in the middle, `scale` the pixels of one of
// its units.

const LARGEST = 8,
  OPENING = 2,
  OWN_SIZE = 4 / 3,
  MARGIN = 16;
let x = 0,
  y = 0,
  scale = 1,
  fitted = true,
  whole,
  gliding = 0;

const within = (low, value, high) => Math.max(low, Math.min(value, high));
const room = () => {
  const { width, height } = picture.getBoundingClientRect();
  return [Math.max(1, width), Math.max(1, height)];
};
const fitting = () => {
  const [across, down] = room();
  return Math.min(
    OPENING,
    Math.max(1, across - 2 * MARGIN) / whole.width,
    Math.max(1, down - 2 * MARGIN) / whole.height,
  );
};
const limited = wished => within(Math.min(1, fitting()) / 2, wished, LARGEST);

const look = (toX, toY, toScale) => {
  const [across, down] = room();
  scale = limited(toScale);
  x = within(whole.x, toX, whole.x + whole.width);
  y = within(whole.y, toY, whole.y + whole.height);
  svg.setAttribute(
    "viewBox",
    [x - across / scale / 2, y - down / scale / 2, across / scale, down / scale].join(" "),
  );
  svg.style.setProperty("--pixel", 1 / scale);
};
const turn = (...to) => {
  gliding++;
  fitted = false;
  look(...to);
};
const survey = () => {
  gliding++;
  fitted = true;
  whole = svg.getBBox();
  look(whole.x + whole.width / 2, whole.y + whole.height / 2, fitting());
};
const fit = () => {
  layOut(true);
  survey();
};
const move = (right, down) => turn(x - right / scale, y - down / scale, scale);
const zoom = (factor, clientX, clientY) => {
  const { left, top, width, height } = picture.getBoundingClientRect(),
    next = limited(scale * factor);
  const [right, down] =
    clientX === undefined ? [0, 0] : [clientX - left - width / 2, clientY - top - height / 2];
  turn(x + right / scale - right / next, y + down / scale - down / next, next);
};
const glide = (toX, toY, toScale) => {
  const from = [x, y, scale],
    start = performance.now(),
    mine = ++gliding;
  const step = now => {
    if (mine !== gliding) return;
    const part = still.matches ? 1 : within(0, (now - start) / 250, 1),
      eased = part * part * (3 - 2 * part);
    look(...[toX, toY, toScale].map((to, i) => from[i] + eased * (to - from[i])));
    if (part < 1) requestAnimationFrame(step);
  };
  fitted = false;
  step(start);
};

// A box or a step comes into view, by the shortest way; if it is smaller than `least`, it is enlarged and
// stands in the middle.
const bring = (id, least = 0) => {
  const one = drawn.get(id).getBoundingClientRect(),
    all = picture.getBoundingClientRect();
  const right = one.left + one.width / 2 - all.left - all.width / 2,
    down = one.top + one.height / 2 - all.top - all.height / 2;
  if (scale < least) return glide(x + right / scale, y + down / scale, least);
  const over = (off, size, room) =>
    Math.sign(off) * Math.max(0, Math.abs(off) + Math.min(size, room) / 2 + MARGIN - room / 2);
  const by = [over(right, one.width, all.width), over(down, one.height, all.height)];
  if (by.some(Math.abs)) glide(x + by[0] / scale, y + by[1] / scale, scale);
};

new ResizeObserver(() => (fitted ? fit() : look(x, y, scale))).observe(picture);

// -- pointers: one drags, two zoom. In a frame of another page one finger scrolls that page, as does a wheel
// until the frame is clicked.

document.body.classList.toggle("framed", framed);
const fingers = new Map();
let dragged = false;

on(picture, "pointerdown", event => {
  if (event.button) return;
  if (!fingers.size) dragged = false;
  fingers.set(event.pointerId, event);
});
on(picture, "pointermove", event => {
  const before = fingers.get(event.pointerId),
    far = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  const alone = fingers.size < 2;
  if (
    !before ||
    (alone && !dragged && far(event, before) < 4) ||
    (alone && framed && event.pointerType === "touch")
  )
    return;
  if (!dragged) for (const id of fingers.keys()) picture.setPointerCapture(id);
  dragged = true;
  const other = [...fingers.values()].find(finger => finger !== before),
    part = other ? 0.5 : 1;
  move((event.clientX - before.clientX) * part, (event.clientY - before.clientY) * part);
  if (other)
    zoom(
      far(event, other) / Math.max(1, far(before, other)),
      (event.clientX + other.clientX) / 2,
      (event.clientY + other.clientY) / 2,
    );
  fingers.set(event.pointerId, event);
});
for (const type of ["pointerup", "pointercancel"]) on(window, type, event => fingers.delete(event.pointerId));
on(picture, "touchstart", event => framed && event.touches.length > 1 && event.preventDefault(), {
  passive: false,
});
on(picture, "click", event => dragged && event.stopPropagation(), true);
on(
  picture,
  "wheel",
  event => {
    if (framed && !document.hasFocus() && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { deltaX, deltaY, deltaMode, ctrlKey } = event,
      lines = deltaMode ? 16 : 1;
    if (Math.abs(deltaX) > Math.abs(deltaY)) move(-deltaX * lines, 0);
    else zoom(Math.exp((-deltaY * lines) / (ctrlKey ? 100 : 400)), event.clientX, event.clientY);
  },
  { passive: false },
);
on(picture, "dblclick", event => {
  if (!boxOf(event) && !titleOf(event)) zoom(event.shiftKey ? 0.5 : 2, event.clientX, event.clientY);
});
on(one("#in"), "click", () => zoom(1.5));
on(one("#out"), "click", () => zoom(1 / 1.5));
on(one("#fit"), "click", fit);
