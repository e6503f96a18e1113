// What intersects in the pictures of a page: a line for each.
const faults = [], GAP = .3;
const meet = (a, b) => a.x < b.x + b.width - GAP && b.x < a.x + a.width - GAP
  && a.y < b.y + b.height - GAP && b.y < a.y + a.height - GAP;
const grid = (r, n, m) => Array.from({length: n * m}, (_, i) => [
  r.x + GAP + (r.width - 2 * GAP) * (i % n) / (n - 1), r.y + GAP + (r.height - 2 * GAP) * Math.floor(i / n) / (m - 1)]);
const outlined = triangle => {  // with its line, which is wide
  const style = getComputedStyle(triangle), wide = style.stroke === 'none' ? 0 : parseFloat(style.strokeWidth) / 2;
  const corners = [...triangle.points].slice(0, 3).map(c => [c.x, c.y]);
  const sides = [0, 1, 2].map(i => { const [a, b] = [corners[(i + 1) % 3], corners[(i + 2) % 3]];
    return Math.hypot(a[0] - b[0], a[1] - b[1]); });
  const around = sides[0] + sides[1] + sides[2], [a, b, c] = corners;
  const radius = Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / around;
  const centre = [0, 1].map(k => corners.reduce((sum, p, i) => sum + p[k] * sides[i] / around, 0));
  return corners.map(p => p.map((v, k) => centre[k] + (v - centre[k]) * (radius + wide) / radius));
};
for (const svg of document.querySelectorAll('svg')) {
  const name = svg.parentNode.dataset.name, frame = svg.getBoundingClientRect();
  const fault = (...what) => faults.push([name, ...what].join(' | '));
  const point = (shape, [x, y]) => { const p = svg.createSVGPoint(); p.x = x; p.y = y; return shape.isPointInFill(p); };
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim()).map(t => {
    const r = t.getBBox();  // of a line, with room above its capitals
    const base = svg.querySelector('g.graph').getCTM(), at = t.getCTM();
    return {x: r.x + (at.e - base.e) / base.a, y: r.y + r.height * .17 + (at.f - base.f) / base.d, width: r.width, height: r.height * .8, said: t.textContent,
      text: t, node: t.closest('g.node'), edge: t.closest('g.edge')};
  });
  const nodes = [...svg.querySelectorAll('g.node')].map(g => {
    const shapes = [...g.querySelectorAll('polygon, ellipse, path')].filter(s => s.closest('g.node') === g);
    const [x, y, right, bottom] = shapes.map(s => s.getBBox()).reduce(([x, y, right, bottom], r) =>
      [Math.min(x, r.x), Math.min(y, r.y), Math.max(right, r.x + r.width), Math.max(bottom, r.y + r.height)],
      [1e9, 1e9, -1e9, -1e9]);
    return {g, shapes, x, y, width: right - x, height: bottom - y, said: (g.querySelector('text') || g).textContent,
      holds: p => shapes.some(s => point(s, p))};
  }).filter(n => n.shapes.length);
  const heads = [...svg.querySelectorAll('g.edge > polygon')].map(p => {
    const corners = outlined(p), [xs, ys] = [0, 1].map(i => corners.map(c => c[i]));
    const r = {x: Math.min(...xs), y: Math.min(...ys)};
    Object.assign(r, {width: Math.max(...xs) - r.x, height: Math.max(...ys) - r.y});
    const inside = corners.flatMap(([x, y], i) => { const [u, v] = corners[(i + 1) % corners.length];
      return [.1, .5, .9].map(s => [x + s * (u - x), y + s * (v - y)]); });
    return {x: r.x, y: r.y, width: r.width, height: r.height, inside: [...corners, ...inside], said: p.parentNode.id,
      edge: p.parentNode, shape: p};
  });
  texts.forEach((t, i) => {
    const seen = t.text.getBoundingClientRect();
    if (seen.x < frame.x || seen.y < frame.y || seen.right > frame.right || seen.bottom > frame.bottom)
      fault('text leaves the picture', t.said);
    for (const other of texts.slice(i + 1)) if (meet(t, other)) fault('text on text', t.said, other.said);
    for (const n of nodes) {
      const own = t.node === n.g;
      if (own && n.shapes.length && !grid(t, 2, 2).every(n.holds)) fault('text leaves its node', t.said);
      if (!own && meet(t, n) && grid(t, 9, 3).some(n.holds)) fault('text on a node', t.said, n.said);
    }
    for (const h of heads) if (meet(t, h) && h.inside.some(([x, y]) => x > t.x + GAP && x < t.x + t.width - GAP
      && y > t.y + GAP && y < t.y + t.height - GAP)) fault('head on text', h.said, t.said);
  });
  nodes.forEach((n, i) => {
    for (const h of heads) if (meet(n, h) && h.inside.some(n.holds)) fault('head in a node', h.said, n.said);
    for (const other of nodes.slice(i + 1)) if (meet(n, other) && grid(n, 12, 12).some(p => n.holds(p)
      && other.holds(p))) fault('node on node', n.said, other.said);
  });
  heads.forEach((h, i) => {
    for (const other of heads.slice(i + 1)) if (meet(h, other) && h.inside.some(p => point(other.shape, p)))
      fault('head on head', h.said, other.said);
  });
}
return faults;
