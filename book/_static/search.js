// Search, while one types: chapters first. What is looked through (searchdata.js) loads when somebody begins.
(() => {
  const SAME = [ // words of the field that mean the same; British and American spelling are one (see norm)
    "overestimation|overestimates|maximisation bias", "experience replay|replay buffer|replay memory",
    "temporal difference|td", "generalised advantage estimation|gae", "target network|target copy|frozen network",
    "proximal policy optimisation|ppo", "trust region policy optimisation|trpo", "deep qnetwork|dqn|deep q network",
    "policy gradient|reinforce|vpg", "epsilon greedy|epsilongreedy|εgreedy|ε greedy", "markov decision process|mdp",
    "partially observable|pomdp|hidden state", "reinforcement learning from human feedback|rlhf|preference",
    "reward hacking|specification gaming|reward misspecification|wireheading", "sim to real|simtoreal|sim2real|reality gap",
    "offpolicy|off policy", "onpolicy|on policy", "actor critic|actorcritic", "model free|modelfree", "model based|modelbased",
    "discount factor|discounting|gamma", "hyperparameter|learning rate|tuning", "function approximation|approximator",
    "qlearning|q learning", "advantage actor critic|advantage actorcritic|a2c|a3c", "behaviour cloning|imitation|demonstration",
    "domain randomisation|randomised physics", "importance sampling|importance weight|importance ratio",
  ].map((line) => line.split("|"));
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const norm = (text) => text.toLowerCase().normalize("NFKC").replace(/(?<=\p{L})[-‐‑–’'](?=\p{L})/gu, "")
    .replace(/iz(e|ing|ation|ed|er)/g, "is$1").replace(/behavior/g, "behaviour").replace(/[^\p{L}\p{N}.+*]+/gu, " ").trim();
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt()};`);
  const escapeRe = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  let loading, sections;

  function load() {
    loading ??= new Promise((done, failed) => {
      const script = Object.assign(document.createElement("script"), { src: new URL("_static/searchdata.js", root), onerror: failed });
      script.onload = () => {
        sections = window.bookData.sections.map(([uri, page, anchor, title, text]) => ({
          uri, page, title, text, href: new URL(`${uri}#${anchor}`, root).href,
          inTitle: ` ${norm(title)} `, inPage: ` ${norm(page)} `, inText: ` ${norm(text)} `,
          aside: /^reference\//.test(uri), weight: /^(exercises|where this comes from|what .* not good for)/i.test(title) ? 0.6 : 1,
        }));
        done();
      };
      document.head.append(script);
    });
    return loading;
  }

  // What is asked for: for each idea, the ways to say it. "maximisation bias" is one idea, "soft updates" two.
  function ideas(query) {
    let rest = ` ${norm(query)} `;
    const found = [];
    for (const group of SAME) {
      const said = group.filter((one) => rest.includes(` ${one}`) && one.length > 2 || rest.includes(` ${one} `))
        .sort((a, b) => b.length - a.length)[0];
      if (!said) continue;
      rest = rest.replace(new RegExp(` ${escapeRe(said)}\\S*`), " ");
      found.push(group);
    }
    const words = rest.split(" ").filter((word) => word && !/^(the|a|an|of|in|is|and|to|what|how|why)$/.test(word));
    return [...found, ...words.map((word) => [word.length > 4 ? word.replace(/(?<!s)s$/, "") : word])];
  }

  function search(query) {
    const wanted = ideas(query), exact = ` ${norm(query)} `, hits = [];
    if (!wanted.length) return [];
    for (const section of sections) {
      let score = 0;
      for (const ways of wanted) {
        let best = 0;
        ways.forEach((way, nth) => {
          const at = ` ${way}`, whole = `${at} `, less = nth && !exact.includes(at) ? 0.7 : 1;
          const count = section.inText.split(at).length - 1;
          const points = (section.inTitle.includes(at) ? 12 + 4 * section.inTitle.includes(whole) : 0) +
            (section.inPage.includes(at) ? 5 : 0) + (count ? 2 + 2 * Math.log(count) : 0);
          best = Math.max(best, points * less);
        });
        if (!best) { score = 0; break; }
        score += best;
      }
      if (score) hits.push({ ...section, wanted, score: score * section.weight });
    }
    hits.sort((a, b) => b.score - a.score);
    const perPage = new Map(), kept = [];
    for (const hit of hits) {
      const n = perPage.get(hit.uri) || 0;
      perPage.set(hit.uri, n + 1);
      if (n < 3) kept.push(hit);
    }
    const chapters = kept.filter((hit) => !hit.aside), asides = kept.filter((hit) => hit.aside);
    kept.splice(0, kept.length, ...chapters.splice(0, 3), ...asides.splice(0, 2), ...chapters, ...asides);
    const name = query.trim().toLowerCase();
    const objects = window.bookData.objects.filter(([, dotted]) => name.length > 1 && dotted.toLowerCase().split(".").pop().startsWith(name));
    return [...kept.slice(0, 40), ...objects.slice(0, 8).map(([uri, dotted]) => (
      { href: new URL(uri, root).href, title: dotted.split(".").pop(), page: dotted, text: "", wanted: [], code: true }))];
  }

  function excerpt({ text, wanted, aside }) {
    const ways = wanted.flat().map((way) => way.split(" ").map(escapeRe).join("[\\s\\W]*").replace(/is(e|ing|ation)/g, "i[sz]$1"));
    const any = ways.length && new RegExp(`(?<![\\p{L}])(?:${ways.map((w) => w.replace(/over/g, "over-?")).join("|")})[\\p{L}]*`, "giu");
    const first = any ? text.search(any) : -1;
    const from = first > 70 && !aside ? text.indexOf(" ", first - 60) + 1 : 0;
    const part = text.slice(from, from + 190).replace(/\s\S*$/, "");
    if (!part) return "";
    const marked = any ? escape(part).replace(any, "<mark>$&</mark>") : escape(part);
    return `${from ? "… " : ""}${marked}${from + part.length < text.length ? " …" : ""}`;
  }

  function show(list, query, most) {
    const hits = search(query).slice(0, most);
    list.innerHTML = hits.map((hit) =>
      `<li><a href="${escape(hit.href)}"><span class="hit-title">${escape(hit.title)}</span>` +
      (hit.page && hit.page !== hit.title ? `<span class="hit-page">${hit.code ? `<code>${escape(hit.page)}</code>` : escape(hit.page)}</span>` : "") +
      `</a><p>${excerpt(hit)}</p></li>`).join("");
    const said = list.nextElementSibling, found = hits.length === 1 ? "1 result" : `${hits.length} results`;
    said.textContent = query.trim() ? (hits.length ? `${found}, by the arrow keys` : `Nothing is found for “${query.trim()}”.`) : "";
    said.classList.toggle("visually-hidden", hits.length > 0); // who sees them need not be told
  }

  function attach(form, most) {
    const input = form.querySelector("input[type=search]");
    const list = Object.assign(document.createElement("ol"), { className: "hits" });
    const said = Object.assign(document.createElement("p"), { className: "hits-none" });
    said.setAttribute("role", "status");
    const place = document.querySelector("#search-results");
    place && !form.closest("dialog") ? place.append(list, said) : form.after(list, said);
    const now = () => load().then(() => show(list, input.value, most), () => { said.textContent = "The search could not be loaded."; });
    input.addEventListener("focus", load, { once: true });
    input.addEventListener("input", now);
    form.parentElement.addEventListener("keydown", (event) => {
      const links = [...list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
      if (to === undefined || !links.length) return;
      event.preventDefault();
      to < 0 ? input.focus() : links[Math.min(to, links.length - 1)].focus();
    });
    return { input, now };
  }

  const dialog = document.querySelector("#pst-search-dialog form");
  if (dialog) attach(dialog, 8);
  const page = document.querySelector(".bd-search-container form");
  if (page) {
    const { input, now } = attach(page, 40);
    input.value = new URLSearchParams(location.search).get("q") || "";
    page.addEventListener("submit", (event) => { event.preventDefault(); history.replaceState(null, "", `?q=${encodeURIComponent(input.value)}`); });
    now();
  }
  window.bookSearch = (query) => load().then(() => search(query).map(({ href, title, page, score }) => ({ href, title, page, score })));
})();
