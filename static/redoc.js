// Redoc over the daemon's own document. A file and not an inline script, so that the page works under a
// Content-Security-Policy that allows no inline scripts.
Redoc.init(
  "/openapi.json",
  {
    // Its search index is built in a worker made from a blob: URL, which such a policy refuses, too.
    disableSearch: true,
    nativeScrollbars: true,
  },
  document.getElementById("reference"),
);
