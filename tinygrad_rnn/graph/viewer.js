"use strict";
(() => {
  const one = selector => document.querySelector(selector);
  const on = (target, type, act) => target.addEventListener(type, act);
  const byId = all => new Map(all.map(one => [one.id, one]));
  const pictures = JSON.parse(one("#data").textContent), place = new Map(pictures.map(({ of }, i) => [of, i]));
  const picture = one("#picture"), svgs = [...picture.children], facts = one("#facts"), time = one("#time");
  const covers = new Map();
  let data, svg, boxes, groups, arrows, onward, drawn, pinned = null;

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

  const opens = box => box && place.get(box.id);
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
    if (opens(box)) make(facts, "p", box === pinned ? "Click it once more, or press Enter, to see its operations." : "It can be opened.", "note");
    if (box !== pinned) return;
    if (box.rule.length) make(facts, "h3", "Rule");
    for (const line of box.rule) make(facts, "p", line, "rule");
    const { met, strongest, ends } = wayOf(box.id);
    const labels = ids => ids.map(id => boxes.get(id).label);
    make(facts, "h3", data.of ? "Way to the loss, inside of the module" : "Way to the loss");
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
    if (wanted) covers.set(group.id, cover(group, frame, [group.label, group.text, `${inside.length} boxes`].filter(Boolean)));
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
    if (opens(box) && (box === pinned || event.target.matches(".handle"))) go(box.id);
    else if (box) pin(box);
    else if (group) close(group);
  };
  on(picture, "keydown", event => {
    const box = boxOf(event);
    if (box && moves[event.key]) drawn.get(moves[event.key]([...boxes.keys()].filter(visible), box.id))?.focus();
    else if (event.key === "Enter" || event.key === " ") act(event);
    else return;
    event.preventDefault();
  });
  on(document, "keydown", event => {
    if (event.key !== "Escape") return;
    if (pinned || time.value > 0) clear();
    else back();
  });

  // -- pointer, focus, controls

  on(picture, "click", act);
  on(picture, "pointerover", event => tell(boxOf(event) ?? pinned));
  on(picture, "pointerleave", () => tell(pinned));
  on(picture, "focusin", event => {
    const box = boxOf(event);
    if (!box) return;
    rove(box.id);
    tell(box);
  });

  const tick = () => {
    const moment = data.moments[time.value - 1];
    one("output").textContent = moment ? [moment.label, moment.text].filter(Boolean).join(": ") : "all steps";
    time.setAttribute("aria-valuetext", one("output").textContent);
    if (moment) drawn.get(moment.at[0]).scrollIntoView({ block: "nearest", inline: "center" });
    shade();
  };
  on(time, "input", tick);
  for (const radio of document.querySelectorAll("[name=direction]")) {
    on(radio, "change", () => document.body.classList.toggle("forward", radio.value === "forward"));
  }
  on(one("#gains"), "change", event => document.body.classList.toggle("numberless", !event.target.checked));
  const press = (button, pressed) => button.setAttribute("aria-pressed", pressed);
  const pressing = (button, act) => on(button, "click", () => act(button.getAttribute("aria-pressed") !== "true"));
  const fit = pressed => {
    press(one("#fit"), pressed);
    picture.classList.toggle("fit", pressed);
  };
  pressing(one("#fit"), fit);
  pressing(one("#fold"), pressed => {
    press(one("#fold"), pressed);
    data.groups.forEach(group => close(group, pressed));
  });

  // -- from picture to picture: that of the modules, and those inside of its boxes

  const asButton = (id, label, given) => {
    for (const name in given) drawn.get(id).setAttribute(name, given[name]);
    drawn.get(id).setAttribute("role", "button");
    drawn.get(id).setAttribute("aria-label", label);
  };
  const show = of => {
    data = pictures[place.get(of)];
    svg = svgs[place.get(of)];
    for (const other of svgs) other.toggleAttribute("hidden", other !== svg);
    boxes = byId(data.boxes);
    groups = byId(data.groups);
    arrows = data.arrows.map(([id, source, target, back, size]) => ({ id, source, target, back, size: size ?? Infinity }));
    onward = new Map(data.boxes.map(box => [box.id, arrows.filter(arrow => arrow.back && arrow.source === box.id)]));
    drawn = byId([...svg.querySelectorAll("g[id]")]);
    one("h1").textContent = data.title;
    svg.setAttribute("aria-label", data.title);
    one("#legend").replaceChildren();
    for (const [css, text] of data.legend) make(one("#legend"), "li", text, css);
    one("#notes").replaceChildren();
    for (const note of data.notes) make(one("#notes"), "p", note, "note");
    for (const box of data.boxes) {
      asButton(box.id, [box.label, ...box.facts.map(fact => fact.join(" ")), opens(box) ? "can be opened" : []].flat().join(", "));
    }
    for (const group of data.groups) asButton(group.id, `${group.label} ${group.text}`, { tabindex: 0, "aria-expanded": !covers.has(group.id) });
    for (const { id, back } of arrows) {
      drawn.get(id).setAttribute("aria-hidden", true);
      drawn.get(id).classList.toggle("quiet", !back);
    }
    time.max = data.moments.length;
    one("#clock").hidden = !data.moments.length;
    one("#fold").hidden = !data.groups.length;
    press(one("#fold"), data.groups.every(group => covers.has(group.id)));
    one("#gains").disabled = !data.measured;
    one("#back").hidden = !of;
    fit(false);
    const scale = picture.clientWidth / svg.clientWidth;
    fit(scale < 1 && scale > 0.6);
    rove([...boxes.keys()].find(visible));
    tick();
  };
  const clear = () => {
    time.value = 0;
    tick();
    pin(null);
  };
  const go = (of, focused) => {
    clear();
    show(of);
    drawn.get(focused ?? [...boxes.keys()].find(visible))?.focus();
    tell(null);
  };
  const back = () => data.of && go("", data.of);
  on(one("#back"), "click", back);
  one("#opening").hidden = pictures.length < 2;
  show("");
  for (const box of data.boxes.filter(opens)) {
    const { x, y, width } = drawn.get(box.id).getBBox();
    const d = `M${x + width - 16},${y - 18}h16v16h-16zm3,8h10m-5,-5v10`;
    makeSvg(drawn.get(box.id), "path", { class: "handle", d, stroke: "none" });
  }
})();
