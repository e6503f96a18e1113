"use strict";
(() => {
  const one = selector => document.querySelector(selector);
  const data = JSON.parse(one("#data").textContent);
  const svg = one("#picture svg"), panel = one("#panel"), time = one("#time");
  const boxes = new Map(data.boxes.map(box => [box.id, box]));
  const arrows = data.arrows.map(([id, source, target, back, size]) => ({ id, source, target, back, size: size ?? Infinity }));
  const drawn = new Map([...svg.querySelectorAll("g[id]")].map(g => [g.id, g]));
  const ways = new Map(data.boxes.map(box => [box.id, arrows.filter(arrow => arrow.back && arrow.source === box.id)]));
  const closed = new Map();
  let pinned = null;

  const make = (parent, tag, text) => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    return made;
  };
  const makeSvg = (parent, tag, given, text = "") => {
    const made = parent.appendChild(document.createElementNS(svg.namespaceURI, tag));
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };

  // -- the way to the loss: every box that a residual passes before it comes here, and at each fork the larger residual

  const wayOf = start => {
    const met = new Set([start]), strongest = [];
    for (const id of met) for (const arrow of ways.get(id)) met.add(arrow.target);
    for (let at = start; data.measured && ways.get(at).length; at = strongest.at(-1).target) {
      strongest.push(ways.get(at).reduce((best, arrow) => (arrow.size > best.size ? arrow : best)));
    }
    return { met, strongest, ends: [...met].filter(id => !ways.get(id).length) };
  };

  const shade = () => {
    const moment = data.moments[time.value - 1];
    const way = pinned && wayOf(pinned.id);
    const lit = box => (way ? way.met.has(box.id) : !moment || moment.at.includes(box.id) || moment.at.includes(box.group));
    const strong = new Set(way ? way.strongest.flatMap(arrow => [arrow.id, arrow.source, arrow.target]) : []);
    const mark = (id, bright) => {
      const g = drawn.get(id);
      if (!g) return;
      g.classList.toggle("dim", !bright);
      g.classList.toggle("strong", strong.has(id));
    };
    for (const box of data.boxes) {
      mark(box.id, lit(box));
      drawn.get(box.id)?.classList.toggle("pinned", box === pinned);
      drawn.get(box.id)?.setAttribute("aria-pressed", box === pinned);
    }
    for (const arrow of arrows) {
      const [source, target] = [boxes.get(arrow.source), boxes.get(arrow.target)];
      mark(arrow.id, way ? arrow.back && lit(source) && lit(target) : lit(target));
    }
    for (const group of data.groups) drawn.get(group.id)?.classList.toggle("now", !!moment && moment.at.includes(group.id));
  };

  // -- facts

  const tell = box => {
    panel.replaceChildren();
    if (!box) {
      make(panel, "p", "Point at an operation for its facts; click it to see its rule and its way to the loss.");
      make(panel, "p", "Keys: Tab comes to the picture, ← → go through operations, ↑ towards the loss, ↓ back to the operands, " +
        "Enter pins, Esc clears. On a step, Enter closes and opens it.");
      for (const note of data.notes) make(panel, "p", note).className = "note";
      return;
    }
    make(panel, "h2", box.label);
    const list = make(panel, "dl", "");
    for (const [name, text] of box.facts) {
      make(list, "dt", name);
      make(list, "dd", text);
    }
    if (box !== pinned) return;
    if (box.rule.length) make(panel, "h3", "Rule");
    for (const line of box.rule) make(panel, "p", line).className = "rule";
    const { met, strongest, ends } = wayOf(box.id);
    make(panel, "h3", "Way to the loss");
    const names = ids => ids.map(id => boxes.get(id).label);
    if (met.size === 1) make(panel, "p", "No residual comes here from further on.");
    else make(panel, "p", `${met.size - 1} boxes on all ways to ${names(ends).join(", ")}`);
    if (strongest.length) {
      make(panel, "p", "In bold, at each fork the larger residual: " + names([box.id, ...strongest.map(arrow => arrow.target)]).join(" → "));
    }
  };

  const pin = box => {
    pinned = box === pinned ? null : box;
    shade();
    tell(pinned ?? box);
  };

  // -- groups

  const inside = group => data.boxes.filter(box => box.group === group.id);

  const close = (group, wanted = !closed.has(group.id)) => {
    const frame = drawn.get(group.id);
    if (!frame || wanted === closed.has(group.id)) return;
    frame.setAttribute("aria-expanded", !wanted);
    const ids = new Set(inside(group).map(box => box.id));
    const hidden = [...ids, ...arrows.filter(arrow => ids.has(arrow.source) && ids.has(arrow.target)).map(arrow => arrow.id)];
    for (const id of hidden) drawn.get(id)?.classList.toggle("hidden", wanted);
    if (wanted) closed.set(group.id, cover(group, frame));
    else {
      closed.get(group.id).remove();
      closed.delete(group.id);
    }
    rove(drawn.get([...boxes.keys()].find(visible)));
  };

  const cover = (group, frame) => {
    const made = makeSvg(frame.parentNode, "g", { class: "cover", "aria-hidden": "true" });
    const shape = made.appendChild(frame.querySelector("path, polygon").cloneNode());
    const { x, y, width, height } = shape.getBBox();
    [group.label, group.told, `${inside(group).length} boxes`].filter(Boolean).forEach((line, i) =>
      makeSvg(made, "text", { x: x + width / 2, y: y + height / 2 + 16 * (i - 0.5), "text-anchor": "middle", "font-size": 12 }, line));
    made.addEventListener("click", () => close(group));
    return made;
  };

  // -- keys

  const visible = id => drawn.has(id) && !drawn.get(id).classList.contains("hidden");
  const rove = g => {
    for (const other of svg.querySelectorAll("g.node[tabindex='0']")) other.tabIndex = -1;
    if (g) g.tabIndex = 0;
  };
  const go = id => {
    if (!id) return;
    drawn.get(id).focus();
    drawn.get(id).scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const moves = {
    ArrowRight: (ids, at) => ids[ids.indexOf(at) + 1],
    ArrowLeft: (ids, at) => ids[ids.indexOf(at) - 1],
    ArrowUp: (ids, at) => ids.find(id => arrows.some(arrow => arrow.source === at && arrow.target === id)),
    ArrowDown: (ids, at) => ids.find(id => arrows.some(arrow => arrow.target === at && arrow.source === id)),
    Home: ids => ids[0],
    End: ids => ids.at(-1),
  };

  svg.addEventListener("keydown", event => {
    const node = event.target.closest("g.node"), frame = event.target.closest("g.cluster");
    if (node && moves[event.key]) go(moves[event.key]([...boxes.keys()].filter(visible), node.id));
    else if (event.key !== "Enter" && event.key !== " ") return;
    else if (node) pin(boxes.get(node.id));
    else if (frame) close(data.groups.find(group => group.id === frame.id));
    event.preventDefault();
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "Escape") return;
    pinned = null;
    time.value = 0;
    tick();
    tell(null);
  });

  // -- pointer, focus, controls

  svg.addEventListener("pointerover", event => {
    const node = event.target.closest("g.node");
    tell(node ? boxes.get(node.id) : pinned);
  });
  svg.addEventListener("pointerleave", () => tell(pinned));
  svg.addEventListener("focusin", event => {
    const node = event.target.closest("g.node");
    if (!node) return;
    rove(node);
    tell(boxes.get(node.id));
  });
  svg.addEventListener("click", event => {
    const node = event.target.closest("g.node"), frame = event.target.closest("g.cluster");
    const group = frame && data.groups.find(group => group.id === frame.id);
    if (node) pin(boxes.get(node.id));
    else if (group) close(group);
  });

  const tick = () => {
    const moment = data.moments[time.value - 1];
    const text = moment ? [moment.label, moment.told].filter(Boolean).join(": ") : "all steps";
    one("output").textContent = text;
    time.setAttribute("aria-valuetext", text);
    if (moment) drawn.get(moment.at[0])?.scrollIntoView({ block: "nearest", inline: "center" });
    shade();
  };
  time.addEventListener("input", tick);
  for (const radio of document.querySelectorAll("[name=direction]")) {
    radio.addEventListener("change", () => document.body.classList.toggle("forward", radio.value === "forward"));
  }
  one("#gains").addEventListener("change", event => document.body.classList.toggle("numberless", !event.target.checked));
  const button = (selector, act) => one(selector).addEventListener("click", event => {
    const pressed = event.target.getAttribute("aria-pressed") !== "true";
    event.target.setAttribute("aria-pressed", pressed);
    act(pressed);
  });
  button("#fit", pressed => svg.classList.toggle("fit", pressed));
  button("#fold", pressed => data.groups.forEach(group => close(group, pressed)));

  // -- at the beginning

  one("h1").textContent = data.title;
  for (const [css, text] of data.legend) make(one("#legend"), "li", text).className = css;
  svg.setAttribute("aria-label", data.title);
  const button_ = (g, label) => {
    g.setAttribute("role", "button");
    g.setAttribute("aria-label", label);
  };
  for (const box of data.boxes) {
    const g = drawn.get(box.id);
    if (!g) continue;
    button_(g, [box.label, ...box.facts.map(fact => fact.join(" "))].join(", "));
    g.tabIndex = -1;
  }
  for (const arrow of arrows) {
    drawn.get(arrow.id)?.setAttribute("aria-hidden", "true");
    drawn.get(arrow.id)?.classList.toggle("quiet", !arrow.back);
  }
  for (const group of data.groups) {
    const g = drawn.get(group.id);
    if (!g) continue;
    button_(g, [group.label, group.told].filter(Boolean).join(", "));
    g.setAttribute("aria-expanded", "true");
    g.tabIndex = 0;
  }
  time.max = data.moments.length;
  one("#clock").hidden = !data.moments.length;
  one("#fold").hidden = !data.groups.length;
  one("#gains").disabled = !data.measured;
  const scale = svg.parentNode.clientWidth / svg.clientWidth;
  if (scale < 1 && scale > 0.6) one("#fit").click();
  rove(drawn.get(data.boxes[0]?.id));
  tick();
  tell(null);
})();
