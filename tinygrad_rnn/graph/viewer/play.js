// The residual walks back: at each beat one operation's rule is applied, and what it sends to its operands is
// drawn. A closed step is one beat. Where the steps themselves are the boxes, a beat is a moment of the
// slider: so it goes through those not shown, too.

const BEAT = 1400,
  walk = { beats: [], at: -1, timer: 0 };

const beatsOf = () => {
  const applied = id => arrows.filter(arrow => arrow.back && arrow.target === id);
  if (data.moments.length && !groups.size) {
    return data.moments.map(({ at }, i) => ({ ids: at, arrows: at.flatMap(applied), time: i + 1 })).reverse();
  }
  const turn = new Map(data.moments.flatMap(({ at }, i) => at.map(id => [id, i + 1])));
  const beats = [];
  for (const { id, group } of [...data.boxes].reverse()) {
    const arrows = applied(id),
      last = beats.at(-1),
      closed = shut.has(group) && group;
    if (!arrows.length) continue;
    if (closed && last?.closed === closed) {
      last.ids.push(id);
      last.arrows.push(...arrows);
    } else beats.push({ ids: [id], arrows, time: turn.get(group) ?? 0, closed });
  }
  return beats;
};
const walkedSoFar = () => {
  const met = new Set(),
    sent = new Set();
  for (const { ids, arrows } of walk.beats.slice(0, walk.at + 1)) {
    for (const id of ids) met.add(id);
    for (const { id, source } of arrows) {
      sent.add(id);
      met.add(source);
    }
  }
  return { met, arrows: sent };
};
const walking = box => walk.at >= 0 && walk.beats[walk.at].ids.includes(box.id);

// While it plays by itself, nothing is read aloud; where it stops, that is.
const voice = playing => {
  for (const spoken of [one("aside"), one("#walked"), one("#clock output")])
    spoken.setAttribute("aria-live", playing ? "off" : "polite");
};
const unlight = () => {
  for (const lit of svg?.querySelectorAll(".lit, .flow") ?? []) {
    lit.classList.remove("lit", "flow");
    for (const path of lit.querySelectorAll("[pathLength]")) path.removeAttribute("pathLength");
  }
};

const beat = to => {
  if (pinned) pin(null);
  if (walk.at < 0) walk.beats = beatsOf();
  if (!walk.beats.length) return false;
  walk.at = within(0, to, walk.beats.length - 1);
  const { ids, arrows, time: moment, closed } = walk.beats[walk.at],
    stand = closed ? [closed] : ids;
  unlight();
  time.value = moment;
  tellTime();
  shade();
  for (const id of stand) drawn.get(id).classList.add("lit");
  for (const { id } of arrows) {
    drawn.get(id).classList.add("flow");
    if (still.matches) continue;
    for (const path of drawn.get(id).querySelectorAll("path")) path.setAttribute("pathLength", 1);
  }
  bring(stand[0]);
  tell(boxes.get(stand[0]));
  one("#walked").textContent = `${walk.at + 1} of ${walk.beats.length}`;
  return walk.at < walk.beats.length - 1;
};
const pace = () => BEAT / one("#speed").value;
const pause = () => {
  clearTimeout(walk.timer);
  walk.timer = 0;
  one("#play").textContent = "play backward";
};
const play = () => {
  one("#play").textContent = "pause";
  document.body.style.setProperty("--beat", `${pace()}ms`);
  voice(true);
  const more = beat(walk.at === walk.beats.length - 1 ? 0 : walk.at + 1);
  walk.timer = more ? setTimeout(play, pace()) : 0;
  if (!more) pause();
};
const step = by => {
  pause();
  voice(false);
  beat(walk.at + by);
};
const rewind = () => {
  pause();
  voice(false);
  unlight();
  walk.at = -1;
  walk.beats = [];
  one("#walked").textContent = "";
};
// Where motion is not wanted, it goes on by clicks alone.
const toggle = () => {
  if (still.matches) step(1);
  else if (walk.timer) step(0);
  else play();
};
on(one("#play"), "click", toggle);
on(one("#before"), "click", () => step(-1));
on(one("#after"), "click", () => step(1));
const calm = () => {
  one("#play").hidden = one("#speed").hidden = still.matches;
};
on(still, "change", calm);
calm();
