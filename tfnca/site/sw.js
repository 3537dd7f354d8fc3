// Keeps what was fetched once, so that the page works offline; online, the newest is used. Each build
// of the page registers this file with its own name, and has a cache of its own.

const CACHE = `tfnca-${new URL(location).searchParams.get("build")}`;
const MATCH = { ignoreSearch: true, ignoreVary: true };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), dropOthers()]));
});

/** Of an earlier build nothing is needed any more. */
async function dropOthers() {
  const old = (await caches.keys()).filter((name) => name.startsWith("tfnca") && name !== CACHE);
  return Promise.all(old.map((name) => caches.delete(name)));
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(
    fetch(request)
      .then((response) => {
        if (response.ok) {
          const copy = response.clone();
          event.waitUntil(caches.open(CACHE).then((cache) => cache.put(request, copy)));
        }
        return response;
      })
      .catch(async () => (await caches.match(request, MATCH)) ?? Response.error()),
  );
});

// What the page fetched before this worker was in charge.
self.addEventListener("message", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(event.data)));
});
