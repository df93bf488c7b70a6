// A film begins when it comes into view, rests on its last frame, and begins again; whoever stops it, has stopped it.
{
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const REST = 1200; // milliseconds
  const inView = new WeakSet(), stopped = new WeakSet();

  const roll = (film) => {
    if (!calm && inView.has(film) && !stopped.has(film)) film.play().catch(() => {});
  };

  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inView.add(target);
      else inView.delete(target);
      if (isIntersecting) roll(target);
      else target.pause();
    }
  }, { threshold: 0.6 });

  for (const film of document.querySelectorAll(".film video")) {
    film.addEventListener("pause", () => !film.ended && inView.has(film) && stopped.add(film));
    film.addEventListener("play", () => stopped.delete(film));
    film.addEventListener("ended", () => setTimeout(() => roll(film), REST));
    watch.observe(film);
  }
}
