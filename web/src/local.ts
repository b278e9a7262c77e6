/** Restores photos in this browser: nothing leaves the computer. */

import { type Backend, type Choices, Failure } from "./backend";
import type { Answer, Request } from "./local-worker";

const JPEG_QUALITY = 0.95;

export class LocalBackend implements Backend {
  readonly isLocal = true;
  private worker?: Worker;
  private next = 1;

  constructor(private readonly model: string) {}

  async restore(
    photo: File,
    choices: Choices,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Blob> {
    const bitmap = await createImageBitmap(photo).catch(() => {
      throw new Failure(`${photo.name}: this browser cannot read the format; try PNG or JPEG.`);
    });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Failure("This browser has no 2D canvas.");
    context.drawImage(bitmap, 0, 0);
    const { width, height } = bitmap;
    bitmap.close();
    const rainy = context.getImageData(0, 0, width, height);
    const restored = choices.restored
      ? await pixelsOf(choices.restored, width, height)
      : await this.run(rainy, onProgress, signal);
    const mask = choices.mask && (await pixelsOf(choices.mask, width, height));
    if (choices.strength < 1 || mask)
      for (let i = 0; i < restored.length; i++) {
        const weight = choices.strength * ((mask?.[i - (i % 4)] ?? 255) / 255);
        const before = rainy.data[i] ?? 0;
        restored[i] = before + weight * ((restored[i] ?? 0) - before);
      }
    context.putImageData(new ImageData(restored, width, height), 0, 0);
    const type = ["image/jpeg", "image/webp"].includes(photo.type) ? photo.type : "image/png";
    return canvas.convertToBlob({ type, quality: JPEG_QUALITY });
  }

  private run(
    rainy: ImageData,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Uint8ClampedArray<ArrayBuffer>> {
    this.worker ??= new Worker(new URL("./local-worker.ts", import.meta.url), { type: "module" });
    const worker = this.worker;
    const id = this.next++;
    const pixels = rainy.data.slice().buffer;
    const place = document.baseURI;
    const request: Request = {
      id,
      model: new URL(this.model, place).href,
      runtime: new URL("runtime", place).href,
      width: rainy.width,
      height: rainy.height,
      pixels,
    };
    return new Promise((resolve, reject) => {
      const abort = () => {
        // a running tile cannot be interrupted otherwise
        worker.terminate();
        this.worker = undefined;
        end();
        reject(new DOMException("aborted", "AbortError"));
      };
      const onMessage = ({ data }: MessageEvent<Answer>) => {
        if (data.id !== id) return;
        if ("done" in data) onProgress(data.done / data.total);
        else {
          end();
          if ("error" in data) reject(new Failure(data.error));
          else resolve(new Uint8ClampedArray(data.pixels));
        }
      };
      const onError = (event: ErrorEvent) => {
        end();
        this.worker = undefined;
        reject(new Failure(event.message || "The network cannot be loaded."));
      };
      const end = () => {
        signal.removeEventListener("abort", abort);
        worker.removeEventListener("message", onMessage);
        worker.removeEventListener("error", onError);
      };
      signal.addEventListener("abort", abort);
      worker.addEventListener("message", onMessage);
      worker.addEventListener("error", onError);
      worker.postMessage(request, [pixels]);
    });
  }
}

async function pixelsOf(
  data: Blob,
  width: number,
  height: number,
): Promise<Uint8ClampedArray<ArrayBuffer>> {
  const bitmap = await createImageBitmap(data);
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (!context) throw new Failure("This browser has no 2D canvas.");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data as Uint8ClampedArray<ArrayBuffer>;
}
