/** One photo on its way through the page. */

export type State = "waiting" | "restoring" | "done" | "failed";

/** Longest side of what is shown; downloads are restored at full size. */
export const SHOWN_PX = 4096;

export class Photo {
  state: State = "waiting";
  message = "";
  /** Share of the upload, or of the tiles, 0 to 1. */
  share = 0;
  /** The file restored at full strength. */
  result?: Blob;
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

  /** Name of the downloaded file; a browser writes PNG for the formats that it cannot write. */
  get resultName(): string {
    const dot = this.file.name.lastIndexOf(".");
    const [stem, suffix] =
      dot > 0 ? [this.file.name.slice(0, dot), this.file.name.slice(dot)] : [this.file.name, ""];
    const isKept = this.result?.type !== "image/png" || /^\.a?png$/i.test(suffix);
    return `${stem}_derained${isKept ? suffix : ".png"}`;
  }

  /** Free what only the screen needs. */
  close(): void {
    this.abort.abort();
    this.rainy?.close();
    this.restored?.close();
    this.rainy = this.restored = this.protect = undefined;
  }
}

/** Decode a picture for the screen; undefined where the browser does not know its format. */
export async function decode(data: Blob): Promise<ImageBitmap | undefined> {
  try {
    const full = await createImageBitmap(data);
    const scale = SHOWN_PX / Math.max(full.width, full.height);
    if (scale >= 1) return full;
    const options: ImageBitmapOptions = {
      resizeWidth: Math.round(full.width * scale),
      resizeHeight: Math.round(full.height * scale),
      resizeQuality: "high",
    };
    const small = await createImageBitmap(full, options);
    full.close();
    return small;
  } catch {
    return undefined;
  }
}
