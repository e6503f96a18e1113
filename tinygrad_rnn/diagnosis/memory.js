const bytesOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const data = JSON.parse(one("#data").textContent), { starts, horizon, tokens, decades } = data;
const stage = one("#stage"), group = one("#group"), unit = one("#unit"), facts = one("#facts");
const sizes = bytesOf(data.sizes), length = starts.length, offsets = [0];
for (let t = 0; t < length; t++) offsets.push(offsets[t] + t + 1 - starts[t]);
const units = data.units.map(one => ({ ...one, values: bytesOf(one.values) }));
let now = 0, shown = [];

// In a text a token was predicted at the step before it; the place after the last one is for what comes next.
const ahead = tokens ? 1 : 0, places = length + ahead;
const row = place => place - ahead;
const sizeAt = (t, s, of = sizes) => (s < starts[t] ? 0 : of[offsets[t] + s - starts[t]]);
const part = level => (level ? 10 ** (((level - 255) / 254) * decades) : 0);
const opacity = level => (level / 255) ** 2;
const percent = share =>
  share === 1 ? "100 %" : share >= 0.995 ? ">99 %" : share >= 0.01 ? `${Math.round(100 * share)} %` : "<1 %";
const count = n => n.toLocaleString("en");
const chosen = () => units[group.value];
const partAt = t => { // of a unit, of its largest value
  const level = chosen().values[t * chosen().scales.length + Number(unit.value)];
  return level ? (level - 128) / 127 : NaN;
};
const number = x => (Number.isFinite(x) ? Number(x.toPrecision(2)).toString().replace("-", "−") : "not finite");

// -- a text

const textStage = () => {
  stage.className = "text";
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-label", "The text");
  const spans = tokens.map(token => make(stage, "span", token, /^[↵⇥◌\ufffd∅]/.test(token) ? "sign" : ""));
  spans.push(make(stage, "span", "□", "sign"));
  spans.forEach((span, i) => (span.dataset.at = i));
  const at = event => event.target.closest("#stage span");
  const point = event => at(event) && show(Number(at(event).dataset.at));
  on(stage, "pointermove", event => event.pointerType === "mouse" && point(event));
  on(stage, "click", point);
  const middle = span => {
    const box = span.getClientRects()[0] || span.getBoundingClientRect();
    return [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  };
  const line = way => {
    const [x, y] = middle(spans[now]);
    let best = now, row = null;
    for (let i = now + way; i >= 0 && i < places; i += way) {
      const [left, top] = middle(spans[i]);
      if (Math.abs(top - y) < 6) continue;
      if (row !== null && Math.abs(top - row) > 6) break;
      if (row === null || Math.abs(left - x) < Math.abs(middle(spans[best])[0] - x)) best = i;
      row = top;
    }
    return best;
  };
  const shade = () => {
    for (const i of shown) {
      spans[i].style.removeProperty("--far");
      spans[i].classList.remove("now", "horizon");
    }
    const t = row(now);
    shown = [now];
    spans[now].classList.add("now");
    for (let s = t < 0 ? 0 : starts[t]; s <= t; s++) {
      spans[s].style.setProperty("--far", opacity(sizeAt(t, s)));
      shown.push(s);
    }
    if (t >= 0) spans[t - horizon[t]].classList.add("horizon");
  };
  const paint = () => {
    const by = group.value !== "";
    stage.classList.toggle("units", by);
    for (let i = 0; by && i < length; i++) {
      const part = partAt(i);
      spans[i].style.setProperty("--unit", Math.abs(part) || 0);
      spans[i].style.setProperty("--hue", part < 0 ? "var(--minus)" : "var(--plus)");
    }
  };
  const follow = () => { // within the text: the page around a frame stays where it is
    const { offsetTop, offsetHeight } = spans[now], { scrollTop, clientHeight } = stage;
    const inside = offsetTop >= scrollTop && offsetTop + offsetHeight <= scrollTop + clientHeight;
    if (!inside) stage.scrollTop = offsetTop - clientHeight / 2;
  };
  return { line, shade, paint, follow };
};

// -- a series

const seriesStage = () => {
  stage.className = "series";
  stage.setAttribute("role", "slider");
  stage.setAttribute("aria-label", "Time step");
  stage.setAttribute("aria-valuemin", 0);
  stage.setAttribute("aria-valuemax", length - 1);
  const strips = data.series.map(series => {
    const head = make(stage, "p"), canvas = make(stage, "canvas");
    make(head, "span", series.name);
    const value = make(head, "span"), finite = series.values.filter(x => x !== null);
    const low = Math.min(...finite), high = Math.max(...finite);
    const own = series.sizes ? bytesOf(series.sizes) : sizes;
    return { ...series, own, canvas, value, low, high: high > low ? high : low + 1 };
  });
  const draw = ({ canvas, own, values, low, high, input }) => {
    const ratio = window.devicePixelRatio || 1, style = getComputedStyle(stage);
    const colour = name => style.getPropertyValue(name).trim();
    const width = (canvas.width = canvas.clientWidth * ratio);
    const height = (canvas.height = canvas.clientHeight * ratio);
    const pen = canvas.getContext("2d"), step = width / length, t = row(now);
    for (let s = starts[t]; input && s <= t; s++) {
      pen.fillStyle = `rgb(${colour("--strong")} / ${opacity(sizeAt(t, s, own))})`;
      const left = Math.floor(s * step);
      pen.fillRect(left, 0, Math.max(1, Math.floor((s + 1) * step) - left), height);
    }
    const y = value => height * (0.92 - 0.84 * ((value - low) / (high - low)));
    pen.strokeStyle = colour("--ink");
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    values.forEach((value, i) => value !== null && pen.lineTo((i + 0.5) * step, y(value)));
    pen.stroke();
    pen.strokeStyle = pen.fillStyle = colour("--mark");
    if (input) {
      pen.setLineDash([4 * ratio, 3 * ratio]);
      pen.strokeRect((t - horizon[t]) * step, -9, 0, height + 18);
      pen.setLineDash([]);
    }
    pen.strokeRect((now + 0.5) * step, -9, 0, height + 18);
  };
  const shade = () => {
    stage.setAttribute("aria-valuenow", now);
    for (const strip of strips) {
      draw(strip);
      strip.value.textContent = strip.values[now] === null ? "not finite" : strip.values[now];
    }
  };
  const at = event => {
    const box = strips[0].canvas.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * length));
  };
  on(stage, "pointermove", event => at(event));
  on(stage, "pointerdown", event => at(event));
  on(window, "resize", shade);
  on(matchMedia("(prefers-color-scheme: dark)"), "change", shade);
  return { line: way => now + way * 10, shade, paint: () => {}, follow: () => {} };
};

// -- what is told

const rows = (title, lines) => {
  make(facts, "p", title);
  const table = make(facts, "table");
  for (const [name, note, share, came] of lines) {
    const tr = make(table, "tr", "", came ? "came" : ""), td = make(tr, "td");
    make(td, "bdi", name);
    td.append(note);
    make(make(tr, "td", "", "stripe"), "i").style.width = `${100 * share}%`;
    make(tr, "td", percent(share), "share");
  }
};

const tell = () => {
  facts.replaceChildren();
  const t = row(now), name = place => (place < length ? data.said[place] : "what comes next");
  const head = make(facts, "h2");
  make(head, "bdi", tokens ? name(now) : `time ${count(now)}`);
  if (tokens && now < length) head.append(` (${count(now + 1)} of ${count(length)})`);
  if (group.value !== "" && now < length) {
    const value = number(partAt(now) * chosen().scales[unit.value]);
    make(facts, "p", `unit ${unit.value} of ${chosen().name}: ${value}`);
  }
  if (t < 0) return make(facts, "p", "Nothing stands before it to be predicted from.");
  if (tokens && data.guesses.length) {
    const guesses = data.guesses[t].map(([i, share]) => [data.names[i], "", share, data.names[i] === data.said[now]]);
    rows("The model expected here:", guesses);
  }
  const all = [];
  for (let s = starts[t]; s <= t; s++) if (sizeAt(t, s)) all.push([s, part(sizeAt(t, s))]);
  const strongest = all.sort((a, b) => b[1] - a[1]).slice(0, 5);
  if (!strongest.length) return make(facts, "p", "No gradient comes to any input.");
  const back = horizon[t] + ahead, steps = tokens ? "" : back === 1 ? " step" : " steps";
  make(facts, "p", `1 % of the largest gradient reaches ${count(back)}${steps} back, to the mark.`);
  rows("It depends most on, as parts of the largest gradient:", strongest.map(([s, share]) =>
    [tokens ? name(s) : `time ${count(s)}`, `, ${count(now - s)} back`, share]));
};

const show = place => {
  now = Math.max(0, Math.min(places - 1, place));
  view.shade();
  tell();
};

const curve = () => {
  const left = one("#left"), points = data.remaining, seen = points.findLastIndex(p => p >= 10 ** -decades);
  const far = Math.min(points.length - 1, seen + 3);
  if (far < 2) return (left.hidden = true);
  const svg = makeSvg(left, "svg", { viewBox: "0 0 280 130", role: "img", "aria-label": "What is left, by steps back" });
  const x = i => 34 + (i / far) * 236, y = p => 8 + (Math.min(decades, -Math.log10(p || 1e-99)) / decades) * 96;
  for (let d = 0; d <= decades; d++) {
    const at = y(10 ** -d), reach = 10 ** -d === data.reach;
    const look = reach ? { stroke: "var(--mark)", "stroke-dasharray": "4 3" } : { stroke: "var(--line)" };
    makeSvg(svg, "line", { x1: 34, x2: 270, y1: at, y2: at, ...look });
    makeSvg(svg, "text", { x: 30, y: at + 4, "text-anchor": "end" }, ["100 %", "10 %", "1 %", "0.1 %"][d]);
  }
  const line = points.slice(0, far + 1).map((p, i) => `${x(i).toFixed(1)},${y(p).toFixed(1)}`).join(" ");
  makeSvg(svg, "polyline", { points: line, fill: "none", stroke: "var(--ink)", "stroke-width": 1.8 });
  for (const i of [0, Math.round(far / 2), far]) {
    makeSvg(svg, "text", { x: x(i), y: 120, "text-anchor": i === far ? "end" : "middle" }, i + ahead);
  }
  const whole = tokens ? "text" : "series", cut = seen === points.length - 1 && points.length < length;
  one("#left figcaption").textContent =
    `How much is left so many steps back${cut ? `, up to ${seen + ahead}` : ""}, on average over the whole ${whole}:`;
};

const legend = () => {
  const by = group.value !== "", scale = by ? number(chosen().scales[unit.value]) : "";
  one("#which").hidden = !by;
  one("#low").textContent = !by ? "0.1 %" : chosen().signed ? `−${scale}` : "0";
  one("#high").textContent = by ? scale : "largest gradient";
  const strong = [0, 64, 128, 192, 255].map(level => `rgb(var(--strong) / ${opacity(level)})`);
  const shades = !by ? strong.join()
    : `${chosen().signed ? "rgb(var(--minus)), " : ""}transparent, rgb(var(--plus))`;
  one("#bar").style.background = `linear-gradient(to right, ${shades})`;
};

const choose = () => {
  if (group.value !== "") {
    unit.max = chosen().scales.length - 1;
    unit.value = Math.max(0, Math.min(unit.max, Math.round(Number(unit.value)) || 0));
  }
  legend();
  view.paint();
  tell();
};

const KEYS = {
  ArrowLeft: () => now - 1, ArrowRight: () => now + 1, Home: () => 0, End: () => places - 1,
  ArrowUp: () => view.line(-1), ArrowDown: () => view.line(1), PageUp: () => now - 100, PageDown: () => now + 100,
};
on(stage, "keydown", event => {
  const go = KEYS[event.key];
  if (!go || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  show(go());
  view.follow();
});

one("h1").textContent = data.title;
units.forEach((one, i) => (make(group, "option", one.name).value = i));
one("#by").hidden = !tokens || !units.length;
on(group, "change", choose);
on(unit, "input", choose);
const keys = one("#keys");
make(keys, "p", tokens
  ? "Point at a character or a word, or tap it. The darker an earlier one, the larger the gradient by it of the "
    + "log-probability that the model gave to what you point at. The mark is the horizon: no further back is 1 % of "
    + "the largest. □ stands for what comes next."
  : "Point at a time, or tap it. The darker an earlier one, the larger the gradient of the output there by the "
    + "input. The dashed line is the horizon: no further back is 1 % of the largest.");
make(keys, "p", `Keys: ← → one step, ↑ ↓ ${tokens ? "one line" : "ten steps"}, Page ↑ ↓ a hundred, Home, End.`);
if (tokens && units.length) make(keys, "p", "Coloured by a unit, the bar below a letter shows the gradient.");
if (data.left_out.length) make(keys, "p", `Left out, as the page would be too large: ${data.left_out.join(", ")}.`);
if (!tokens && data.series.filter(one => one.input).length > 1) {
  make(keys, "p", data.series[0].sizes ? "Each input is shaded by its own gradient, as a part of the largest of all."
    : "All inputs are shaded by their gradients together.");
}
if (data.hidden) make(keys, "p", `${count(data.hidden)} more features are not drawn.`);
const view = tokens ? textStage() : seriesStage();
legend();
curve();
const early = horizon.slice(0, 400);
show(early.indexOf(Math.max(...early)) + ahead);
view.follow();
