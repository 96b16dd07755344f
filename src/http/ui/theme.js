// Applies the chosen theme before the page is drawn. Not a module, because modules run later.
(() => {
  const STORED = "sandbox-provisioner-theme";
  const THEMES = ["auto", "light", "dark"];
  const root = document.documentElement;
  const read = () => {
    try {
      return localStorage.getItem(STORED);
    } catch {
      return null;
    }
  };
  const apply = (theme) => {
    root.dataset.theme = THEMES.includes(theme) ? theme : "auto";
  };
  apply(read());
  window.nextTheme = () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    apply(next);
    try {
      localStorage.setItem(STORED, next);
    } catch {
      // The choice then lasts until the page is closed.
    }
    return next;
  };
})();
