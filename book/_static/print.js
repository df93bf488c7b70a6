// Paper is white, and nothing on it opens: a dark page is printed in the colours of the light one, all unfolded. Solutions
// stand at the end, behind the references, or they would be read with their tasks.
(() => {
const page = document.documentElement;
const SOLUTIONS = ".exercise:not(.stage) > details, section:has(> .exercise:not(.stage)) > .predict > details";
let shown, folded, end;
const moved = [];

function toTheEnd() {
  end = document.createElement("section");
  end.className = "solutions";
  end.append(Object.assign(document.createElement("h2"), { textContent: "Solutions" }));
  for (const solution of document.querySelectorAll(SOLUTIONS)) {
    const task = solution.parentElement, note = document.createElement("p");
    const title = document.createElement(task.matches(".exercise") ? "h3" : "p"); // a question has no name: it is said again
    title.append(...task.querySelector(".rubric, p").cloneNode(true).childNodes);
    title.id = `solution-${moved.length + 1}`;
    note.innerHTML = `<a class="reference internal" href="#${title.id}">The solution</a> is at the end of the page.`;
    solution.replaceWith(note);
    end.append(title, solution);
    moved.push([note, solution]);
  }
  if (moved.length) document.querySelector(".bd-article > section").append(end);
}

addEventListener("beforeprint", () => {
  shown = page.dataset.theme;
  page.dataset.theme = "light";
  folded = [...document.querySelectorAll(".bd-article details:not([open])")];
  for (const one of folded) one.open = true;
  toTheEnd();
});
addEventListener("afterprint", () => {
  page.dataset.theme = shown;
  for (const one of folded) one.open = false;
  for (const [note, solution] of moved.splice(0)) note.replaceWith(solution);
  end.remove();
});
})();
