// CartPole-v1 as Gymnasium has it, played by policies that this build has trained.
const cartPole = {
  LIMIT: { x: 2.4, angle: (12 * 2 * Math.PI) / 360 },

  // the state (x, speed, angle, angular speed) 0.02 s later; action 0 pushes the cart left, 1 right, with 10 N
  step([x, v, angle, w], action) {
    const gravity = 9.8, mass = 0.1, total = mass + 1, half = 0.5, tau = 0.02; // half: of the pole's length
    const force = action === 1 ? 10 : -10, cos = Math.cos(angle), sin = Math.sin(angle);
    const temp = (force + mass * half * w * w * sin) / total;
    const turn = (gravity * sin - cos * temp) / (half * (4 / 3 - (mass * cos * cos) / total));
    const push = temp - (mass * half * turn * cos) / total;
    return [x + tau * v, v + tau * push, angle + tau * w, w + tau * turn];
  },

  over([x, , angle]) {
    return Math.abs(x) > this.LIMIT.x || Math.abs(angle) > this.LIMIT.angle;
  },

  // the action with the larger output of the network: layers of weights and biases, tanh between them
  act(layers, state) {
    let h = state;
    layers.forEach(([weights, biases], depth) => {
      h = weights.map((row, i) => row.reduce((sum, weight, j) => sum + weight * h[j], biases[i]));
      if (depth < layers.length - 1) h = h.map(Math.tanh);
    });
    return h.indexOf(Math.max(...h));
  },

  start: () => Array.from({ length: 4 }, () => Math.random() * 0.1 - 0.05),
};

function play(figure) {
  const agents = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const [canvas, clock, pause, slider, told] = ["canvas", ".clock", ".pause", "input", "output"]
    .map((one) => figure.querySelector(one));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let state = cartPole.start(), steps = 0, rest = 0, running = false, seen = false, last = 0, owed = 0, held = null;

  function draw() {
    const { clientWidth: width, clientHeight: height } = canvas, sharp = devicePixelRatio || 1;
    if (canvas.width !== width * sharp) [canvas.width, canvas.height] = [width * sharp, height * sharp];
    const pen = canvas.getContext("2d"), colour = (name) => getComputedStyle(figure).getPropertyValue(name);
    const scale = Math.min(width / 5.4, height / 1.55), floor = height - 16, [x, , angle] = state;
    const middle = width / 2 + x * scale, top = floor - 0.3 * scale;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = "round";
    const line = (points, style, thick) => {
      pen.beginPath();
      points.forEach(([a, b]) => pen.lineTo(a, b));
      [pen.strokeStyle, pen.lineWidth] = [style, thick];
      pen.stroke();
    };
    const end = cartPole.LIMIT.x * scale, rail = colour("--pst-color-border");
    line([[width / 2 - end, floor], [width / 2 + end, floor]], rail, 2);
    for (const side of [-end, end]) line([[width / 2 + side, floor - 9], [width / 2 + side, floor]], rail, 2);
    line([[middle, top], [middle + Math.sin(angle) * scale, top - Math.cos(angle) * scale]],
      colour("--pst-color-secondary"), 0.075 * scale);
    pen.fillStyle = colour("--pst-color-primary");
    const fill = (shape) => (pen.beginPath(), shape(), pen.fill());
    fill(() => pen.roundRect(middle - 0.3 * scale, floor - 0.33 * scale, 0.6 * scale, 0.22 * scale, 4));
    for (const wheel of [-0.16, 0.16])
      fill(() => pen.arc(middle + wheel * scale, floor - 0.08 * scale, 0.07 * scale, 0, 2 * Math.PI));
    clock.textContent = rest ? `fell after ${steps} steps` : `step ${steps}`;
  }

  function advance() {
    if (rest) {
      rest -= 1;
      if (!rest) [state, steps] = [cartPole.start(), 0];
      return;
    }
    state = cartPole.step(state, cartPole.act(agents[slider.value].layers, state));
    steps += 1;
    if (cartPole.over(state)) rest = 45; // for most of a second one sees how it fell
  }

  function tick(now) {
    if (!running || !seen) return (last = 0);
    owed = Math.min(owed + (last ? (now - last) / 20 : 1), 5); // 50 steps are a second, as in the task
    last = now;
    for (; owed >= 1; owed -= 1) advance();
    draw();
    requestAnimationFrame(tick);
  }

  function run(on) {
    const resumed = on && !running;
    running = on;
    pause.textContent = on ? "Pause" : "Play";
    if (on) figure.classList.add("playing"); // from here on the canvas is in the drawing's place
    if (resumed && seen) requestAnimationFrame(tick);
  }

  function push(much) {
    if (!rest) state[3] += much;
    if (!running) run(true);
  }

  function choose() {
    const agent = agents[slider.value], trained = agent.steps.toLocaleString("en");
    told.textContent = `after ${trained} steps: stands for ${Math.round(agent.return)} of 500, on average`;
    slider.setAttribute("aria-valuetext", told.textContent);
    [state, steps, rest] = [cartPole.start(), 0, 0];
    draw();
  }

  pause.addEventListener("click", () => run(!running));
  slider.addEventListener("input", choose);
  for (const one of figure.querySelectorAll("[data-push]")) one.addEventListener("click", () => push(0.8 * one.dataset.push));
  figure.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way && event.target !== slider) push(0.8 * way);
  });
  canvas.addEventListener("pointerdown", (event) => (held = event.clientX));
  addEventListener("pointerup", () => (held = null));
  addEventListener("pointermove", (event) => {
    if (held === null) return;
    push(Math.max(-0.5, Math.min(0.5, ((event.clientX - held) / canvas.clientWidth) * 12)));
    held = event.clientX;
  });
  for (const hidden of figure.querySelectorAll("[hidden]")) hidden.hidden = false;
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(draw).observe(canvas);
  new IntersectionObserver(([entry]) => {
    const came = entry.isIntersecting && !seen;
    seen = entry.isIntersecting;
    if (came && running) requestAnimationFrame(tick);
  }).observe(figure);
  choose();
  run(!calm);
}

for (const figure of document.querySelectorAll(".playground:has(script[type='application/json'])")) play(figure);
