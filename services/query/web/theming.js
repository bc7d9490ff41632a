// Light and dark: the system's, until somebody chooses.
import { useEffect, useState } from "./lib.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

const current = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");

export function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("hourbook.theme", theme);
  for (const listener of listeners) listener();
}

export function useTheme() {
  const [theme, setTheme] = useState(current);
  useEffect(() => {
    const listener = () => setTheme(current());
    listeners.add(listener);
    system.addEventListener("change", listener);
    return () => { listeners.delete(listener); system.removeEventListener("change", listener); };
  }, []);
  return theme;
}
