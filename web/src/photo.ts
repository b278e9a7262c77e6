/** One photo on its way through the page. */

import { Failure } from "./backend";

export type State = "waiting" | "restoring" | "done" | "failed";

/** Longest side of what is shown; downloads are restored at full size. */
export const SHOWN_PX = 4096;

/** Suffixes of the formats that the backends write, the usual one first. */
const SUFFIXES: Record<string, string[]> = {
  "image/png": [".png", ".apng"],
  "image/jpeg": [".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"],
  "image/webp": [".webp"],
  "image/tiff": [".tif", ".tiff"],
  "image/bmp": [".bmp", ".dib"],
  "image/gif": [".gif"],
  "image/avif": [".avif"],
  "image/heic": [".heic", ".heif", ".hif"],
};

export class Photo {
  state: State = "waiting";
  message = "";
  /** True if it failed for a reason that may pass. */
  canTryAgain = false;
  /** Share of the upload, or of the tiles, 0 to 1. */
  share = 0;
  /** The file restored at full strength. */
  result?: Blob;
  /** What the result cannot keep of the photo; empty if nothing. */
  omissions = "";
  rainy?: ImageBitmap;
  restored?: ImageBitmap;
  /** Opaque where rain stays, at the size of what is shown. */
  protect?: OffscreenCanvas;
  strength = 1;
  readonly abort = new AbortController();

  constructor(readonly file: File) {}

  /** True if the browser can show both sides. */
  get isShown(): boolean {
    return this.rainy !== undefined && this.restored !== undefined;
  }

  /** True if the brush protects anything. */
  isPainted = false;

  /** Name of the downloaded file, with a suffix of its format: the photo's own where that fits. */
  get resultName(): string {
    const [, stem = "", suffix = ""] = /^(.+?)(\.[^.]*)?$/s.exec(this.file.name) ?? [];
    const fitting = SUFFIXES[this.result?.type ?? ""] ?? [suffix];
    if (fitting.includes(suffix.toLowerCase())) return `${stem}_derained${suffix}`;
    const isOther = Object.values(SUFFIXES).flat().includes(suffix.toLowerCase());
    return `${stem}${isOther ? "" : suffix}_derained${fitting[0]}`;
  }

  /** Throw a `Failure` if the file cannot be read, which no upload would say. */
  async requireReadable(): Promise<void> {
    const reader = this.file.stream().getReader();
    try {
      await reader.read(); // a slice of a file that is gone counts as empty in Chromium
    } catch {
      throw new Failure("cannot be read: it was moved or changed, or is a folder; choose it again");
    }
    await reader.cancel();
  }

  /** True once `open` has decoded both sides, or tried to. */
  isOpen = false;

  /** Decode both sides for the screen. */
  async open(): Promise<void> {
    if (this.isOpen || !this.result) return;
    const sides = await Promise.all([decode(this.file), decode(this.result)]);
    this.hide();
    [this.rainy, this.restored] = sides;
    this.isOpen = true;
  }

  /** Free what only the screen needs, but not what the brush painted. */
  hide(): void {
    this.rainy?.close();
    this.restored?.close();
    this.rainy = this.restored = undefined;
    if (!this.isPainted) this.protect = undefined;
    this.isOpen = false;
  }

  /** Stop the work on this photo. */
  close(): void {
    this.abort.abort();
    this.hide();
    this.protect = undefined;
  }
}

/** Decode a picture for the screen, on black; undefined where the browser cannot read its format. */
export async function decode(data: Blob): Promise<ImageBitmap | undefined> {
  try {
    const full = await createImageBitmap(data);
    const scale = Math.min(1, SHOWN_PX / Math.max(full.width, full.height));
    const [width, height] = [full.width, full.height].map((side) =>
      Math.max(1, Math.round(side * scale)),
    ) as [number, number];
    const canvas = new OffscreenCanvas(width, height);
    // without alpha, which two mixed pictures would not keep
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) return undefined;
    context.imageSmoothingQuality = "high";
    context.drawImage(full, 0, 0, width, height);
    full.close();
    return canvas.transferToImageBitmap();
  } catch {
    return undefined;
  }
}
