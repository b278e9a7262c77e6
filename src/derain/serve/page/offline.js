// The service worker of the static page: it keeps every file for use without a network, and adds
// the headers that let the network use several threads.

// `derain web` writes a digest of all files here, so that browsers notice a new version
const VERSION = "development";
const PLACE = `derain ${self.registration.scope} `;
const CACHE = PLACE + VERSION;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const names = await (await fetch("files.json", { cache: "no-store" })).json();
      const files = names.map((name) => new Request(name, { cache: "no-cache" }));
      await (await caches.open(CACHE)).addAll(files);
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      const old = names.filter((name) => name.startsWith(PLACE) && name !== CACHE);
      await Promise.all(old.map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      const stored = await cache.match(event.request, { ignoreSearch: true });
      const response = stored ?? (await fetch(event.request));
      // the runtime's build for WebGPU is large, and kept only where it is used
      const isRuntime = event.request.url.startsWith(`${self.registration.scope}runtime/`);
      if (!stored && response.ok && isRuntime)
        event.waitUntil(cache.put(event.request, response.clone()));
      const headers = new Headers(response.headers);
      headers.set("Cross-Origin-Opener-Policy", "same-origin");
      headers.set("Cross-Origin-Embedder-Policy", "require-corp");
      return new Response(response.body, { status: response.status, headers });
    })(),
  );
});
