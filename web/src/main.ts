/** The page: wires the controls to the photos, the stage and the backend. */

import { zip } from "fflate";
import { type Backend, Failure, ServerBackend } from "./backend";
import { maskOf } from "./blend";
import { LocalBackend, type WebGpuUse } from "./local";
import { decode, Photo } from "./photo";
import { type Brush, type Mode, Viewer } from "./viewer";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

// the static page names what lies beside it: a network, and perhaps the runtime's build with WebGPU
const { model, webgpu } = document.documentElement.dataset;
const server = new ServerBackend();
const local = model && new LocalBackend(model, webGpuUse());
const backend: Backend = local || server;
const viewer = new Viewer(element<HTMLCanvasElement>("view"));
const photos: Photo[] = [];
let current: Photo | undefined;
let isRunning = false;

/** `?webgpu=0` turns WebGPU off, `?webgpu=1` also uses one that software emulates. */
function webGpuUse(): WebGpuUse {
  const wanted = new URLSearchParams(location.search).get("webgpu");
  if (webgpu === undefined || wanted === "0") return "never";
  return wanted === "1" ? "always" : "hardware";
}

function add(files: Iterable<File>): void {
  for (const file of files) photos.push(new Photo(file));
  current ??= photos[0];
  render();
  void run();
}

/** Restore the photos that wait, one at a time. */
async function run(): Promise<void> {
  if (isRunning) return;
  isRunning = true;
  for (;;) {
    const photo = photos.find((candidate) => candidate.state === "waiting");
    if (!photo) break;
    await restore(photo);
  }
  isRunning = false;
}

async function restore(photo: Photo): Promise<void> {
  photo.state = "restoring";
  render();
  try {
    photo.result = await backend.restore(
      photo.file,
      { strength: 1 },
      (share) => {
        photo.share = share;
        renderQueue();
      },
      photo.abort.signal,
    );
    [photo.rainy, photo.restored] = await Promise.all([decode(photo.file), decode(photo.result)]);
    photo.state = "done";
  } catch (error) {
    if (error instanceof Failure && error.status === 429) {
      photo.state = "waiting";
      photo.message = error.message;
      render();
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, error.retryAfter)));
      return;
    }
    photo.state = "failed";
    // the server knows no names of files, and the name stands beside the message
    photo.message = (error instanceof Error ? error.message : String(error)).replace("photo: ", "");
    if (error instanceof Failure && error.status === 401) element("token-form").hidden = false;
  }
  render();
  if (photo === current) viewer.show(photo);
}

/** Return the file to download: restored again where strength or brush ask for it. */
async function finished(photo: Photo): Promise<Blob> {
  const mask = await maskOf(photo);
  if (photo.result && photo.strength === 1 && !mask) return photo.result;
  const choices = { strength: photo.strength, mask, restored: photo.result };
  say(`${photo.file.name} is restored again, with this strength and brush…`);
  return backend.restore(photo.file, choices, () => {}, photo.abort.signal);
}

function save(data: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function download(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  button.disabled = true;
  try {
    await work();
    say("");
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
  render();
}

async function downloadAll(): Promise<void> {
  const entries: Record<string, Uint8Array> = {};
  for (const photo of photos.filter((candidate) => candidate.state === "done")) {
    let name = photo.resultName;
    for (let number = 2; name in entries; number++)
      name = photo.resultName.replace(/(\.[^.]*)?$/, `_${number}$1`);
    entries[name] = new Uint8Array(await (await finished(photo)).arrayBuffer());
  }
  // photos are compressed already
  const data = await new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) =>
    zip(entries, { level: 0 }, (error, bytes) =>
      error ? reject(error) : resolve(bytes as Uint8Array<ArrayBuffer>),
    ),
  );
  save(new Blob([data], { type: "application/zip" }), "derained.zip");
}

function say(text: string): void {
  element("status").textContent = text;
}

function stateOf(photo: Photo): string {
  if (photo.state === "waiting") return photo.message ? `waiting: ${photo.message}` : "waiting";
  if (photo.state === "restoring")
    return backend.isLocal || photo.share === 1 ? "restoring" : "uploading";
  return photo.state === "done" ? "restored" : photo.message;
}

function renderQueue(): void {
  const focused = document.activeElement?.id;
  element("queue").replaceChildren(
    ...photos.map((photo, index) => {
      const item = document.createElement("li");
      const name = document.createElement("button");
      name.type = "button";
      name.id = `photo-${index}`;
      name.className = "name";
      name.textContent = photo.file.name;
      name.setAttribute("aria-current", String(photo === current));
      name.onclick = () => select(photo);
      const state = document.createElement("span");
      state.className = photo.state === "failed" ? "state failed" : "state";
      state.textContent = stateOf(photo);
      item.append(name, state);
      if (photo.state === "restoring") {
        const bar = document.createElement("progress");
        bar.setAttribute("aria-label", `progress of ${photo.file.name}`);
        if (photo.share > 0 && photo.share < 1) bar.value = photo.share;
        item.append(bar);
      }
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "Remove";
      remove.setAttribute("aria-label", `Remove ${photo.file.name}`);
      remove.onclick = () => discard(photo);
      item.append(remove);
      return item;
    }),
  );
  if (focused?.startsWith("photo-")) document.getElementById(focused)?.focus();
}

function render(): void {
  renderQueue();
  element("photos").hidden = photos.length === 0;
  element("work").hidden = current === undefined;
  element<HTMLButtonElement>("download-all").disabled = !photos.some((p) => p.state === "done");
  element<HTMLButtonElement>("download").disabled = current?.state !== "done";
  if (!current) return;
  element("title").textContent = current.file.name;
  const unseen = current.state === "done" && !current.isShown;
  if (unseen) say("This browser cannot show this format. The download works.");
  else if (current.state !== "done") say(stateOf(current));
  else say("");
  const percent = Math.round(current.strength * 100);
  element<HTMLInputElement>("strength").value = String(percent);
  element("strength-value").textContent = `${percent} %`;
}

function select(photo: Photo): void {
  current = photo;
  render();
  viewer.show(photo);
}

function discard(photo: Photo): void {
  photo.close();
  photos.splice(photos.indexOf(photo), 1);
  if (photo !== current) {
    renderQueue();
    return;
  }
  current = photos[0];
  render();
  viewer.show(current);
}

function listen(): void {
  const drop = element("drop");
  const files = element<HTMLInputElement>("files");
  files.onchange = () => {
    add(files.files ?? []);
    files.value = "";
  };
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer?.files ?? []);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData?.files ?? []));
  element<HTMLFormElement>("token-form").onsubmit = (event) => {
    event.preventDefault();
    server.token = element<HTMLInputElement>("token").value;
    element("token-form").hidden = true;
    for (const photo of photos) if (photo.state === "failed") photo.state = "waiting";
    void run();
  };
  const split = element<HTMLInputElement>("split");
  split.oninput = () => {
    viewer.split = Number(split.value) / 100;
    viewer.refresh();
  };
  viewer.onSplit = (share) => {
    split.value = String(Math.round(share * 100));
  };
  const strength = element<HTMLInputElement>("strength");
  strength.oninput = () => {
    if (!current) return;
    current.strength = Number(strength.value) / 100;
    element("strength-value").textContent = `${strength.value} %`;
    viewer.refresh();
  };
  for (const input of document.querySelectorAll<HTMLInputElement>("input[name=mode]"))
    input.onchange = () => {
      viewer.mode = input.value as Mode;
      viewer.refresh();
    };
  for (const input of document.querySelectorAll<HTMLInputElement>("input[name=brush]"))
    input.onchange = () => {
      viewer.brush = input.value as Brush;
    };
  const size = element<HTMLInputElement>("brush-size");
  size.oninput = () => {
    viewer.brushSize = Number(size.value);
  };
  element("brush-clear").onclick = () => viewer.clearBrush();
  element("zoom-in").onclick = () => viewer.zoomBy(1.5);
  element("zoom-out").onclick = () => viewer.zoomBy(1 / 1.5);
  element("zoom-fit").onclick = () => viewer.fit();
  const one = element<HTMLButtonElement>("download");
  one.onclick = () =>
    download(one, async () => {
      if (current) save(await finished(current), current.resultName);
    });
  const all = element<HTMLButtonElement>("download-all");
  all.onclick = () => download(all, downloadAll);
}

/** Keep the static page for use without a network, and let it use several threads. */
async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register("offline.js");
  await navigator.serviceWorker.ready;
  const isFirst = sessionStorage.getItem("reloaded") === null;
  if (!window.crossOriginIsolated && isFirst && photos.length === 0) {
    sessionStorage.setItem("reloaded", "yes");
    location.reload();
  }
}

if (local) {
  element("place").textContent = "Photos never leave this computer.";
  local.onProcessor = (text) => {
    element("processor").textContent = text;
  };
  void keepOffline().catch(() => {}); // the page works without it
}
listen();
render();
