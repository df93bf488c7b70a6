// Figures of which the reader chooses what they show. The pictures of all settings are files of the site; what is
// not shown yet waits in a template. A sketch is a figure of two pictures: empty axes, and the book's own curves.
{
  const element = (name, properties = {}, ...parts) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...parts);
    return made;
  };

  for (const aside of document.querySelectorAll("template[data-playable]")) {
    const about = JSON.parse(aside.dataset.playable);
    const figure = aside.closest(".playable");
    const shown = [...figure.querySelectorAll("img")]; // a second one is for the dark
    const says = figure.querySelector(".playable-says");
    const pictures = [...aside.content.querySelectorAll("img")];
    pictures.splice(about.start * shown.length, 0, ...shown.map((one) => one.cloneNode()));
    says.setAttribute("aria-live", "polite");

    const show = (number) => {
      shown.forEach((one, k) => (one.src = pictures[number * shown.length + k].src));
      says.textContent = about.says[number];
    };
    const load = () => pictures.forEach((one) => (new Image().src = one.src)); // once somebody begins to play

    const controls = element("div", { className: "playable-controls" });
    controls.addEventListener("pointerenter", load, { once: true });
    controls.addEventListener("focusin", load, { once: true });
    figure.prepend(controls);
    if (about.controls) play(about, controls, show);
    else sketch(figure, shown, controls, show);
  }

  function play(about, controls, show) {
    const size = about.controls.map(([, values]) => values.length);
    const at = []; // the setting, a number for each control: the last one runs fastest
    for (let rest = about.start, k = size.length - 1; k >= 0; k--) {
      at[k] = rest % size[k];
      rest = Math.floor(rest / size[k]);
    }
    about.controls.forEach(([name, values], k) => {
      const told = element("output", { value: values[at[k]] });
      const input = element("input", values.length === 2
        ? { type: "checkbox", checked: at[k] === 1 }
        : { type: "range", min: 0, max: values.length - 1, step: 1, value: at[k] });
      const tell = () => input.type === "range" && input.setAttribute("aria-valuetext", told.value);
      const choose = () => {
        at[k] = input.type === "checkbox" ? Number(input.checked) : Number(input.value);
        told.value = values[at[k]];
        tell();
        show(at.reduce((number, one, j) => number * size[j] + one, 0));
      };
      tell();
      input.addEventListener("input", choose);
      controls.append(element("label", {}, element("span", { textContent: name }), input, told));
    });
  }

  function sketch(figure, shown, controls, show) {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.classList.add("playable-pen");
    drawn.setAttribute("aria-hidden", "true");
    const board = element("span", { className: "playable-board" });
    shown[0].replaceWith(board);
    board.append(...shown, drawn);
    show(0);

    let line;
    const place = (event) => {
      const box = drawn.getBoundingClientRect();
      return `${((1000 * (event.clientX - box.left)) / box.width).toFixed(1)} ${((1000 * (event.clientY - box.top)) / box.height).toFixed(1)}`;
    };
    drawn.setAttribute("viewBox", "0 0 1000 1000");
    drawn.setAttribute("preserveAspectRatio", "none");
    drawn.addEventListener("pointerdown", (event) => {
      if (event.button || !event.isPrimary) return; // a menu, or a second finger
      drawn.setPointerCapture(event.pointerId);
      line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("d", `M${place(event)}`);
      drawn.append(line);
    });
    drawn.addEventListener("pointermove", (event) => {
      if (line && event.isPrimary) line.setAttribute("d", `${line.getAttribute("d")}L${place(event)}`);
    });
    for (const end of ["pointerup", "pointercancel"]) drawn.addEventListener(end, () => (line = null));

    const ours = element("button", { type: "button", textContent: "Show what came out" });
    const again = element("button", { type: "button", textContent: "Begin again" });
    let seen = 0;
    const turn = (number) => show((seen = number));
    ours.addEventListener("click", () => turn(1));
    again.addEventListener("click", () => {
      drawn.replaceChildren();
      turn(0);
    });
    addEventListener("beforeprint", () => show(1)); // on paper nothing can be asked for
    addEventListener("afterprint", () => show(seen));
    controls.append(element("span", { textContent: "Draw what you expect, then compare." }), ours, again);
  }
}
