// Sliders between the rainy and the restored side of a picture.
document.addEventListener("input", ({ target }) => {
  const figure = target.closest?.(".compare");
  if (figure) figure.style.setProperty("--split", `${target.value}%`);
});
