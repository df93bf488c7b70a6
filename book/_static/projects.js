// Chooses among the projects of a page by level, interest and time. The address keeps what was asked for.
(() => {
  const place = document.querySelector(".project-chooser");
  if (!place) return;
  const read = (item, name) => item.className.match(new RegExp(`(?:^|\\s)${name}-(\\S+)`))[1];
  const items = [...document.querySelectorAll("div.project")].map((item) => ({
    item, level: read(item, "level"), part: read(item, "part"), hours: Number(read(item, "hours")),
  }));
  const unique = (name) => [...new Set(items.map((one) => one[name]))];
  const words = (value) => value.replaceAll("-", " ");
  const TIMES = [10, 20, 40].filter((hours) => items.some((one) => one.hours > hours));

  const form = Object.assign(document.createElement("form"), { className: "project-form" });
  form.setAttribute("aria-label", "Choose projects");
  function field(name, label, any, options) {
    const select = Object.assign(document.createElement("select"), { name });
    select.append(new Option(any, ""), ...options.map(([value, text]) => new Option(text, value)));
    const wrapped = document.createElement("label");
    wrapped.append(label, select);
    form.append(wrapped);
    return select;
  }
  const asked = {
    level: field("level", "Level", "any", unique("level").map((value) => [value, words(value)])),
    part: field("part", "Interest", "any", unique("part").map((value) => [value, value])),
    hours: field("hours", "Time", "any", TIMES.map((hours) => [hours, `${hours} hours at most`])),
  };
  const said = document.createElement("output");
  form.append(Object.assign(document.createElement("button"), { type: "reset", textContent: "All projects" }), said);
  place.replaceChildren(form);

  function show() {
    const fits = (one) => (!asked.level.value || one.level === asked.level.value)
      && (!asked.part.value || one.part === asked.part.value)
      && (!asked.hours.value || one.hours <= Number(asked.hours.value));
    let found = 0;
    for (const one of items) {
      const shown = fits(one);
      one.item.hidden = !shown;
      found += shown;
    }
    for (const section of new Set(items.map((one) => one.item.closest("section"))))
      section.classList.toggle("no-project", !section.querySelector("div.project:not([hidden])"));
    said.textContent = found ? `${found} of ${items.length} projects` : "No project fits: ask for less.";
  }

  function change() {
    show();
    const query = new URLSearchParams(Object.entries(asked).map(([name, { value }]) => [name, value]).filter(([, value]) => value));
    try {
      history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
    } catch {
      // a page that was opened as a file keeps its address
    }
  }

  form.addEventListener("input", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(change)); // when the fields are empty
  const query = new URLSearchParams(location.search);
  for (const [name, select] of Object.entries(asked)) {
    select.value = query.get(name) ?? "";
    if (select.selectedIndex === -1) select.value = ""; // there is no such choice
  }
  show();
  // a link to a project shows it, whatever was asked for
  function reveal() {
    const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (!target?.closest("[hidden]")) return;
    form.reset();
    setTimeout(() => target.scrollIntoView());
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
