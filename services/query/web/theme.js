// Before the first paint, so that nobody who chose dark is dazzled: the only script that is not a module.
{
  const chosen = localStorage.getItem("hourbook.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
