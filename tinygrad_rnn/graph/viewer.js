"use strict";
(() => {
  const one = selector => document.querySelector(selector);
  const on = (target, type, act) => target.addEventListener(type, act);
  const data = JSON.parse(one("#data").textContent);
  const svg = one("#picture svg"), facts = one("#facts"), time = one("#time");
  const boxes = new Map(data.boxes.map(box => [box.id, box]));
  const groups = new Map(data.groups.map(group => [group.id, group]));
  const arrows = data.arrows.map(([id, source, target, back, size]) => ({ id, source, target, back, size: size ?? Infinity }));
  const onward = new Map(data.boxes.map(box => [box.id, arrows.filter(arrow => arrow.back && arrow.source === box.id)]));
  const drawn = new Map([...svg.querySelectorAll("g[id]")].map(g => [g.id, g]));
  const covers = new Map();
  let pinned = null;

  const make = (parent, tag, text, css = "") => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    made.className = css;
    return made;
  };
  const makeSvg = (parent, tag, given, text = "") => {
    const made = parent.appendChild(document.createElementNS(svg.namespaceURI, tag));
    for (const name in given) made.setAttribute(name, given[name]);
    made.textContent = text;
    return made;
  };

  // -- the way to the loss: all boxes that a residual passes before it comes here, and at each fork the larger residual

  const wayOf = start => {
    const met = new Set([start]), strongest = [];
    for (const id of met) for (const arrow of onward.get(id)) met.add(arrow.target);
    for (let at = start; data.measured && onward.get(at).length; at = strongest.at(-1).target) {
      strongest.push(onward.get(at).reduce((best, arrow) => (arrow.size > best.size ? arrow : best)));
    }
    return { met, strongest, ends: [...met].filter(id => !onward.get(id).length) };
  };

  const shade = () => {
    const moment = data.moments[time.value - 1], at = new Set(moment && moment.at);
    const way = pinned && wayOf(pinned.id);
    const lit = id => (way ? way.met.has(id) : !moment || at.has(id) || at.has(boxes.get(id).group));
    const strong = new Set(way && way.strongest.flatMap(arrow => [arrow.id, arrow.source, arrow.target]));
    const mark = (id, bright) => {
      drawn.get(id).classList.toggle("dim", !bright);
      drawn.get(id).classList.toggle("strong", strong.has(id));
    };
    for (const [id, box] of boxes) {
      mark(id, lit(id));
      drawn.get(id).classList.toggle("pinned", box === pinned);
      drawn.get(id).setAttribute("aria-pressed", box === pinned);
    }
    for (const { id, source, target, back } of arrows) mark(id, lit(target) && (!way || (back && lit(source))));
    for (const id of groups.keys()) drawn.get(id).classList.toggle("now", at.has(id));
  };

  // -- facts

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
    if (box !== pinned) return;
    if (box.rule.length) make(facts, "h3", "Rule");
    for (const line of box.rule) make(facts, "p", line, "rule");
    const { met, strongest, ends } = wayOf(box.id);
    const labels = ids => ids.map(id => boxes.get(id).label);
    make(facts, "h3", "Way to the loss");
    make(facts, "p", met.size > 1 ? `All ways to ${labels(ends).join(", ")}: ${met.size - 1} boxes.` : "It begins here, or nothing comes here.");
    if (strongest.length) {
      make(facts, "p", "In bold, at each fork the larger residual: " + labels([box.id, ...strongest.map(arrow => arrow.target)]).join(" → "));
    }
  };

  const pin = box => {
    pinned = box === pinned ? null : box;
    shade();
    tell(pinned);
  };

  // -- groups

  const close = (group, wanted = !covers.has(group.id)) => {
    if (wanted === covers.has(group.id)) return;
    const frame = drawn.get(group.id), inside = data.boxes.filter(box => box.group === group.id);
    const ids = new Set(inside.map(box => box.id));
    for (const { id, source, target } of arrows) if (ids.has(source) && ids.has(target)) ids.add(id);
    for (const id of ids) drawn.get(id).classList.toggle("hidden", wanted);
    frame.setAttribute("aria-expanded", !wanted);
    covers.get(group.id)?.remove();
    covers.delete(group.id);
    if (wanted) covers.set(group.id, cover(group, frame, [group.label, group.told, `${inside.length} boxes`].filter(Boolean)));
    rove([...boxes.keys()].find(visible));
  };

  const cover = (group, frame, lines) => {
    const made = makeSvg(frame.parentNode, "g", { class: "cover", "aria-hidden": true });
    const { x, y, width, height } = made.appendChild(frame.querySelector("path, polygon").cloneNode()).getBBox();
    lines.forEach((line, i) => makeSvg(made, "text", { x: x + width / 2, y: y + height / 2 + 22 * (i - 0.5) }, line));
    on(made, "click", () => close(group));
    return made;
  };

  // -- keys

  const visible = id => !drawn.get(id).classList.contains("hidden");
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
  const act = event => {
    const box = boxOf(event), group = groups.get(event.target.closest("g.cluster")?.id);
    if (box) pin(box);
    else if (group) close(group);
  };
  on(svg, "keydown", event => {
    const box = boxOf(event);
    if (box && moves[event.key]) drawn.get(moves[event.key]([...boxes.keys()].filter(visible), box.id))?.focus();
    else if (event.key === "Enter" || event.key === " ") act(event);
    else return;
    event.preventDefault();
  });
  on(document, "keydown", event => {
    if (event.key !== "Escape") return;
    time.value = 0;
    tick();
    pin(null);
  });

  // -- pointer, focus, controls

  on(svg, "click", act);
  on(svg, "pointerover", event => tell(boxOf(event) ?? pinned));
  on(svg, "pointerleave", () => tell(pinned));
  on(svg.parentNode, "focusin", event => {
    const box = boxOf(event);
    if (!box) return;
    rove(box.id);
    tell(box);
  });

  const tick = () => {
    const moment = data.moments[time.value - 1];
    one("output").textContent = moment ? [moment.label, moment.told].filter(Boolean).join(": ") : "all steps";
    time.setAttribute("aria-valuetext", one("output").textContent);
    if (moment) drawn.get(moment.at[0]).scrollIntoView({ block: "nearest", inline: "center" });
    shade();
  };
  on(time, "input", tick);
  for (const radio of document.querySelectorAll("[name=direction]")) {
    on(radio, "change", () => document.body.classList.toggle("forward", radio.value === "forward"));
  }
  on(one("#gains"), "change", event => document.body.classList.toggle("numberless", !event.target.checked));
  const pressing = (button, act) => on(button, "click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    act(pressed);
  });
  pressing(one("#fit"), pressed => svg.classList.toggle("fit", pressed));
  pressing(one("#fold"), pressed => data.groups.forEach(group => close(group, pressed)));

  // -- at the beginning

  const asButton = (id, label, given) => {
    for (const name in given) drawn.get(id).setAttribute(name, given[name]);
    drawn.get(id).setAttribute("role", "button");
    drawn.get(id).setAttribute("aria-label", label);
  };
  one("h1").textContent = data.title;
  svg.setAttribute("aria-label", data.title);
  for (const [css, text] of data.legend) make(one("#legend"), "li", text, css);
  for (const note of data.notes) make(one("#hint"), "p", note, "note");
  for (const box of data.boxes) asButton(box.id, [box.label, ...box.facts.map(fact => fact.join(" "))].join(", "));
  for (const group of data.groups) asButton(group.id, `${group.label} ${group.told}`, { tabindex: 0, "aria-expanded": true });
  for (const { id, back } of arrows) {
    drawn.get(id).setAttribute("aria-hidden", true);
    drawn.get(id).classList.toggle("quiet", !back);
  }
  time.max = data.moments.length;
  one("#clock").hidden = !data.moments.length;
  one("#fold").hidden = !data.groups.length;
  one("#gains").disabled = !data.measured;
  const scale = svg.parentNode.clientWidth / svg.clientWidth;
  if (scale < 1 && scale > 0.6) one("#fit").click();
  rove(data.boxes[0].id);
  tick();
})();
