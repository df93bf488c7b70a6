// Finds papers of this page by topic, year and words. The address keeps what was asked for.
(() => {
  const KEPT = ["q", "topic", "from", "to"];
  // one spelling: small letters, no accents, no hyphens, as British as the text
  const norm = (text) => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "")
    .replace(/ł/g, "l").replace(/ø/g, "o").replace(/(?<=\p{L})[-‐‑–](?=\p{L})/gu, "").replace(/iz(e|ing|ation|ed|er)/g, "is$1");

  const form = document.querySelector(".paper-filter");
  form.hidden = false; // at once: what is below it does not move later

  function begin() {
    const field = Object.fromEntries(KEPT.map((name) => [name, form.elements[name]]));
    const papers = [...document.querySelectorAll("li.paper")].map((item) => ({
      item,
      year: Number(item.className.match(/year-(\d+)/)[1]),
      topics: item.className.match(/(?<=topic-)\S+/g),
      text: norm(item.textContent),
    }));
    const sections = [...document.querySelectorAll("ul.papers")].map((list) => list.closest("section"));
    const years = [...new Set(papers.map((paper) => paper.year))].sort((a, b) => a - b);

    for (const section of sections) {
      const title = section.querySelector("h2").firstChild.textContent.trim();
      field.topic.append(new Option(title, section.querySelector("li.paper").className.match(/topic-(\S+)/)[1]));
    }
    for (const year of years) {
      field.from.append(new Option(year, year, year === years[0]));
      field.to.append(new Option(year, year, year === years.at(-1), year === years.at(-1)));
    }

    function show() {
      const words = norm(field.q.value).split(/\s+/).filter(Boolean), topic = field.topic.value;
      const from = Number(field.from.value), to = Number(field.to.value);
      let found = 0;
      for (const { item, year, topics, text } of papers) {
        const fits = year >= from && year <= to && (!topic || topics.includes(topic)) && words.every((word) => text.includes(word));
        item.hidden = !fits;
        found += fits;
      }
      for (const section of sections) section.hidden = !section.querySelector("li.paper:not([hidden])");
      form.querySelector("output").textContent = found ? `${found} of ${papers.length} papers` : "No paper is found: ask for less.";
    }

    const empty = { q: "", topic: "", from: String(years[0]), to: String(years.at(-1)) };
    function keep() {
      const asked = new URLSearchParams(KEPT.map((name) => [name, field[name].value]).filter(([name, value]) => value !== empty[name]));
      try {
        history.replaceState(null, "", `${location.pathname}${asked.size ? `?${asked}` : ""}${location.hash}`);
      } catch {
        // a page that was opened as a file keeps its address
      }
    }

    const change = () => { show(); keep(); };
    form.addEventListener("input", change);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(change)); // when the fields are empty
    for (const name of KEPT) {
      field[name].value = new URLSearchParams(location.search).get(name) ?? empty[name];
      if (field[name].selectedIndex === -1) field[name].value = empty[name]; // there is no such option
    }
    show();
    // a link to a paper shows it, whatever was asked for
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.closest("[hidden]")) { form.reset(); setTimeout(() => target.scrollIntoView()); }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
