// Reading paths as checklists. A page that is ticked counts in every path; the browser keeps it, and nothing is sent.
(() => {
  const KEPT = "read-pages";

  function remembered() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT));
      return new Set(Array.isArray(kept) ? kept : []);
    } catch {
      return new Set(); // a browser that keeps nothing, or something that was not ours
    }
  }

  function remember(read) {
    try {
      if (read.size) localStorage.setItem(KEPT, JSON.stringify([...read]));
      else localStorage.removeItem(KEPT);
    } catch {
      // then until the page is left
    }
  }

  const hours = (minutes) => `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;

  const memory = document.querySelector(".path-memory"), forget = memory.querySelector("button");
  memory.hidden = false; // at once: what is below it does not move later

  function begin() {
    const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
    let read = remembered();
    const paths = [...document.querySelectorAll("ol.reading-path")].map((list) => {
      const steps = [...list.children].map((item) => {
        const link = item.querySelector("a");
        const page = new URL(link.href).href.slice(root.href.length).replace(/(\.html)?([?#].*)?$/, "");
        const box = Object.assign(document.createElement("input"), { type: "checkbox" });
        box.setAttribute("aria-label", `I have read: ${link.textContent}`);
        const tick = Object.assign(document.createElement("label"), { className: "tick" });
        tick.append(box);
        item.prepend(tick);
        box.addEventListener("change", () => {
          if (box.checked) read.add(page);
          else read.delete(page);
          remember(read);
          show();
        });
        return { item, page, box, minutes: Number(item.className.match(/minutes-(\d+)/)[1]) };
      });
      const progress = Object.assign(document.createElement("p"), { className: "path-progress" });
      list.classList.add("ticked");
      list.after(progress);
      return { steps, progress };
    });
    const pages = new Set(paths.flatMap(({ steps }) => steps.map(({ page }) => page)));

    function show() {
      for (const { steps, progress } of paths) {
        let done = 0, left = 0;
        for (const { item, page, box, minutes } of steps) {
          box.checked = read.has(page);
          item.classList.toggle("done", box.checked);
          done += box.checked;
          left += box.checked ? 0 : minutes;
        }
        progress.textContent = left ? `${done} of ${steps.length} pages read, ${hours(left)} to go.` : "All of this path is read.";
      }
      const count = [...read].filter((page) => pages.has(page)).length;
      memory.querySelector("output").textContent = count === 1 ? "1 page is ticked." : `${count || "No"} pages are ticked.`;
      forget.disabled = !read.size;
    }

    forget.addEventListener("click", () => {
      read = new Set();
      remember(read);
      show();
      paths[0]?.steps[0].box.focus(); // the button is no place to be any more
    });
    addEventListener("storage", (event) => {
      if (event.key !== KEPT && event.key !== null) return;
      read = remembered(); // ticked in another tab
      show();
    });
    show();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
