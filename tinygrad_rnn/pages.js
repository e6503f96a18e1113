// What the programs of all pages begin with.

const one = selector => document.querySelector(selector);
const on = (target, type, act, how) => target.addEventListener(type, act, how);
const make = (parent, tag, text = "", css = "") => {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  made.className = css;
  return made;
};
const makeSvg = (parent, tag, given, text = "") => {
  const made = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const name in given) made.setAttribute(name, given[name]);
  made.textContent = text;
  return made;
};
