// What a link leads to, shown beside it: terms, equations, figures, citations, claims. By pointer, by keyboard, by tap.
(() => {
const SHOWN = "dt[id^=term-], div.math[id^=equation-], figure, div.citation, .claim";
const LINKS = ".bd-article a.reference.internal[href*='#'], .bd-article a.to-equation, .preview a.reference.internal[href*='#']";
const pages = new Map(); // address -> promise of a parsed page
let box, owner, timer;

function pageAt(address) {
  if (address === location.href.split("#")[0]) return Promise.resolve(document);
  if (!pages.has(address)) {
    const read = async () => {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.status);
      return new DOMParser().parseFromString(await answer.text(), "text/html");
    };
    pages.set(address, read().catch(() => null)); // opened from a disk, nothing can be fetched: the link is enough
  }
  return pages.get(address);
}

// The content of a preview, or nothing: for a section a link says enough.
async function contentOf(link) {
  const [address, anchor] = link.href.split("#");
  const found = (await pageAt(address))?.getElementById(decodeURIComponent(anchor));
  const target = found?.closest(SHOWN) ?? (found?.localName === "span" ? found.nextElementSibling?.closest(SHOWN) : null);
  if (!target) return null;
  const parts = [target];
  if (target.localName === "dt") {
    let next = target.nextElementSibling;
    while (next && next.localName === "dt") next = next.nextElementSibling;
    if (next) parts.push(next);
  }
  const content = document.createElement("div");
  for (const part of parts) {
    const copy = document.importNode(part, true);
    const inner = document.createElement("div");
    inner.className = `${copy.className} preview-${part.localName}`;
    inner.append(...copy.childNodes);
    content.append(inner);
  }
  for (const one of content.querySelectorAll(".headerlink, .to-code, .backrefs, script, details, button")) one.remove();
  for (const one of content.querySelectorAll("[id]")) one.removeAttribute("id");
  for (const kind of ["href", "src"])
    for (const one of content.querySelectorAll(`[${kind}]`))
      one.setAttribute(kind, new URL(one.getAttribute(kind), address).href);
  for (const one of content.querySelectorAll("img")) one.loading = "eager";
  return content;
}

function needFormulas() {
  if (document.querySelector("link[href*='katex/katex.css']")) return;
  const sheet = document.querySelector("link[href*='_static/site.css']").href.replace(/site\.css.*/, "katex/katex.css");
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: sheet }));
}

async function show(link, tapped = false) {
  const content = await contentOf(link);
  if (owner !== link || !content) return false;
  if (!box) {
    box = Object.assign(document.createElement("div"), { id: "preview", className: "preview bd-article" });
    box.setAttribute("role", "tooltip");
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("pointerleave", () => hide(200));
    document.body.append(box);
  }
  if (content.querySelector(".katex")) needFormulas();
  box.replaceChildren(content);
  if (tapped) {
    const on = Object.assign(document.createElement("a"), { href: link.href, textContent: "Go there", className: "preview-on" });
    box.append(on);
  }
  box.hidden = false;
  link.setAttribute("aria-describedby", "preview");
  const at = link.getClientRects()[0], width = box.offsetWidth, height = box.offsetHeight;
  const below = at.bottom + height + 16 < innerHeight || at.top < height + 16;
  box.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8)) + scrollX}px`;
  box.style.top = `${(below ? at.bottom + 6 : at.top - height - 6) + scrollY}px`;
  return true;
}

function hide(after = 0) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    owner?.removeAttribute("aria-describedby");
    owner = null;
    if (box) box.hidden = true;
  }, after);
}

function want(link, after) {
  clearTimeout(timer);
  if (owner === link) return;
  if (box?.contains(link)) return; // one preview at a time
  timer = setTimeout(() => {
    owner?.removeAttribute("aria-describedby");
    owner = link;
    show(link);
  }, after);
}

const linkOf = (event) => event.target.closest?.(LINKS);
document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "mouse" && linkOf(event)) want(linkOf(event), 180);
});
document.addEventListener("pointerout", (event) => {
  if (event.pointerType === "mouse" && linkOf(event)) hide(250);
});
document.addEventListener("focusin", (event) => {
  const link = linkOf(event);
  if (link?.matches(":focus-visible")) want(link, 0);
  else if (!box?.contains(event.target)) hide();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && owner) hide();
});

// A tap shows first; a second one, or the link in the preview, goes there. A tap elsewhere closes it.
let touched = false;
document.addEventListener("pointerdown", (event) => {
  touched = event.pointerType === "touch" || event.pointerType === "pen";
  if (owner && !box?.contains(event.target) && linkOf(event) !== owner) hide();
});
document.addEventListener("click", async (event) => {
  const link = linkOf(event);
  if (!touched || !link || box?.contains(link) || link === owner || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  clearTimeout(timer);
  owner = link;
  if (!(await show(link, true))) location.href = link.href;
});
})();
