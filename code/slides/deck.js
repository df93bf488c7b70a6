// One slide at a time. The speaker's window is the same file, opened with ?speaker; the two tell each other where they are.
const body = document.body, sheets = [...document.querySelectorAll(".sheet")], clock = document.getElementById("clock");
const keys = document.getElementById("keys"), speaker = location.search === "?speaker";
let at = 0, other = speaker ? window.opener : null, begun = Date.now(), typed = "";

function show(to, tell = true) {
  at = Math.max(0, Math.min(sheets.length - 1, to));
  sheets.forEach((sheet, i) => {
    sheet.classList.toggle("now", i === at);
    sheet.classList.toggle("next", speaker && i === at + 1);
    for (const film of sheet.querySelectorAll("video"))
      if (i === at && !matchMedia("(prefers-reduced-motion: reduce)").matches) film.play().catch(() => {});
      else film.pause();
  });
  history.replaceState(null, "", `#${at + 1}`);
  if (speaker) tick();
  if (tell && other && !other.closed) other.postMessage({ slide: at }, "*");
}

function fit() {
  const notes = body.classList.contains("notes-on") && !speaker ? 380 : 0;
  const scale = Math.min(innerWidth / 1920, innerHeight / (1080 + notes));
  const set = (name, value) => document.documentElement.style.setProperty(name, value);
  set("--scale", scale);
  set("--whole", innerWidth / 1920);
  set("--left", `${(innerWidth - 1920 * scale) / 2}px`);
  set("--top", `${(innerHeight - (1080 + notes) * scale) / 2}px`);
}

function overview(on) {
  body.classList.toggle("overview", on);
  body.classList.toggle("shown", !on);
  if (on) sheets[at].scrollIntoView({ block: "center" });
}

function tick() {
  const seconds = Math.floor((Date.now() - begun) / 1000), minutes = +clock.dataset.minutes;
  const text = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const due = Math.round((minutes * at) / sheets.length);
  clock.innerHTML = `${text} <small>of ${minutes} minutes; slide ${at + 1} of ${sheets.length} is due at ${due} minutes. R: begin the clock again</small>`;
  clock.classList.toggle("late", seconds > 60 * (due + 2));
}

const DO = {
  ArrowRight: () => show(at + 1), ArrowDown: () => show(at + 1), " ": () => show(at + 1), PageDown: () => show(at + 1),
  ArrowLeft: () => show(at - 1), ArrowUp: () => show(at - 1), PageUp: () => show(at - 1), Backspace: () => show(at - 1),
  Home: () => show(0), End: () => show(sheets.length - 1),
  s: () => { other = window.open(`${location.pathname}?speaker#${at + 1}`, "speaker", "width=1280,height=760"); },
  n: () => { body.classList.toggle("notes-on"); fit(); },
  o: () => overview(!body.classList.contains("overview")), Escape: () => overview(false),
  b: () => body.classList.toggle("black"), r: () => { begun = Date.now(); },
  f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  "?": () => (keys.open ? keys.close() : keys.showModal()),
  Enter: () => { if (typed) show(+typed - 1); else if (body.classList.contains("overview")) overview(false); else show(at + 1); },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^\d$/.test(name)) { typed += name; return; }
  if (DO[name]) { event.preventDefault(); DO[name](); }
  typed = "";
});
addEventListener("click", (event) => {
  const sheet = event.target.closest(".sheet");
  if (event.target.closest("a, video, dialog") || !sheet || getSelection().toString()) return;
  if (body.classList.contains("overview")) { show(sheets.indexOf(sheet)); overview(false); }
});
addEventListener("message", (event) => {
  if (event.source === other || (!other && event.data?.slide !== undefined)) { other = event.source; show(event.data.slide, false); }
});
addEventListener("hashchange", () => show(+location.hash.slice(1) - 1));
addEventListener("resize", fit);

body.classList.add("shown");
if (speaker) { body.classList.add("speaker"); clock.hidden = false; setInterval(tick, 1000); }
fit();
show((+location.hash.slice(1) || 1) - 1, false);
