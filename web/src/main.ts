/** The page: wires the controls to the photos, the stage and the backend. */

import { zip } from "fflate";
import { type Backend, Failure, ServerBackend } from "./backend";
import { maskOf } from "./blend";
import { LocalBackend, type WebGpuUse } from "./local";
import { Photo } from "./photo";
import { Queue } from "./queue";
import { type Brush, type Mode, Viewer } from "./viewer";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

// the static page names what lies beside it: a network, and perhaps the runtime's build with WebGPU
const { model, multiple, webgpu } = document.documentElement.dataset;
const server = new ServerBackend();
const local = model && new LocalBackend(model, Number(multiple), webGpuUse());
const backend: Backend = local || server;
const viewer = new Viewer(element<HTMLCanvasElement>("view"));
const queue = new Queue(element("queue"));
const photos: Photo[] = [];
let current: Photo | undefined;
let isRunning = false;
let isDownloading = false;
/** What the last download said. */
let notice = "";

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
    await photo.requireReadable();
    const restored = await backend.restore(
      photo.file,
      { strength: 1 },
      (share) => {
        photo.share = share;
        renderQueue();
      },
      photo.abort.signal,
    );
    photo.result = restored.file;
    photo.omissions = restored.omissions;
    if (photo === current) await photo.open();
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
    photo.message = messageOf(error).replace("photo: ", "");
    photo.canTryAgain = error instanceof Failure && error.isPassing;
    if (error instanceof Failure && error.status === 401) element("token-form").hidden = false;
  }
  render();
  if (photo === current) await show(photo);
  else photo.hide();
}

/** Restore what failed for a reason that may have passed. */
function tryAgain(): void {
  for (const photo of photos.filter(mayTryAgain)) {
    photo.state = "waiting";
    photo.message = "";
  }
  render();
  void run();
}

function mayTryAgain(photo: Photo): boolean {
  return photo.state === "failed" && photo.canTryAgain;
}

/** Show a photo on the stage, and keep the pictures of no other: they take much memory. */
async function show(photo: Photo | undefined): Promise<void> {
  viewer.show(undefined);
  for (const other of photos) if (other !== photo) other.hide();
  await photo?.open();
  if (photo !== current) {
    photo?.hide();
    return;
  }
  render();
  viewer.show(photo);
}

/**
 * Return the file to download: restored again where strength or brush ask for it.
 *
 * Undefined if the photo was removed meanwhile.
 */
async function finished(photo: Photo): Promise<Blob | undefined> {
  const mask = await maskOf(photo);
  if (photo.result && photo.strength === 1 && !mask) return photo.result;
  notify(`${photo.file.name} is restored again, with this strength and brush…`);
  await photo.requireReadable();
  const choices = { strength: photo.strength, mask, restored: photo.result };
  const { signal } = photo.abort;
  try {
    return (await backend.restore(photo.file, choices, () => {}, signal)).file;
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

function save(data: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function download(work: () => Promise<void>): Promise<void> {
  isDownloading = true;
  notify("");
  try {
    await work();
    notice = "";
  } catch (error) {
    notice = messageOf(error);
  }
  isDownloading = false;
  render();
}

async function downloadAll(): Promise<void> {
  const entries: Record<string, Uint8Array> = {};
  for (const photo of photos.filter((candidate) => candidate.state === "done")) {
    const file = await finished(photo);
    if (!file) continue;
    let name = photo.resultName;
    for (let number = 2; name in entries; number++)
      name = photo.resultName.replace(/(\.[^.]*)?$/, `_${number}$1`);
    entries[name] = new Uint8Array(await file.arrayBuffer());
  }
  // photos are compressed already
  const data = await new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) =>
    zip(entries, { level: 0 }, (error, bytes) =>
      error ? reject(error) : resolve(bytes as Uint8Array<ArrayBuffer>),
    ),
  );
  save(new Blob([data], { type: "application/zip" }), "derained.zip");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Say something about a download, until the next one or another photo. */
function notify(text: string): void {
  notice = text;
  render();
}

function stateOf(photo: Photo): string {
  if (photo.state === "waiting") return photo.message ? `waiting: ${photo.message}` : "waiting";
  if (photo.state === "restoring")
    return backend.isLocal || photo.share === 1 ? "restoring" : "uploading";
  return photo.state === "done" ? "restored" : photo.message;
}

function renderQueue(): void {
  for (const photo of photos) queue.show(photo, stateOf(photo), { isCurrent: photo === current });
}

function render(): void {
  renderQueue();
  element("photos").hidden = photos.length === 0;
  element("work").hidden = current === undefined;
  const isAnyDone = photos.some((photo) => photo.state === "done");
  element<HTMLButtonElement>("download-all").disabled = isDownloading || !isAnyDone;
  element<HTMLButtonElement>("download").disabled = isDownloading || current?.state !== "done";
  const needsToken = !element("token-form").hidden;
  element("try-again").hidden = needsToken || !photos.some(mayTryAgain);
  if (!current) return;
  element("title").textContent = current.file.name;
  const isUnseen = current.state === "done" && current.isOpen && !current.isShown;
  const state = isUnseen
    ? "restored. This browser cannot show this format; the download works."
    : stateOf(current);
  element("status").textContent = notice || state;
  const percent = Math.round(current.strength * 100);
  element<HTMLInputElement>("strength").value = String(percent);
  element("strength-value").textContent = `${percent} %`;
}

function select(photo: Photo | undefined): void {
  current = photo;
  notify("");
  void show(photo);
}

function discard(photo: Photo): void {
  photo.close();
  photos.splice(photos.indexOf(photo), 1);
  if (photo === current) select(photos[0]);
  else render();
  if (photos.length === 0) element("files").focus();
}

function listen(): void {
  queue.onSelect = select;
  queue.onRemove = discard;
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
    tryAgain();
  };
  element("try-again").onclick = tryAgain;
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
  element("download").onclick = () =>
    download(async () => {
      const photo = current;
      const file = photo && (await finished(photo));
      if (file) save(file, photo.resultName);
    });
  element("download-all").onclick = () => download(downloadAll);
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
  element("place").textContent =
    "Photos never leave this computer. Results have one frame, 8 bits and no metadata.";
  local.onProcessor = (text) => {
    element("processor").textContent = text;
  };
  void keepOffline().catch(() => {}); // the page works without it
}
listen();
render();
