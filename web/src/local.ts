/** Restores photos in this browser: nothing leaves the computer. */

import { type Backend, type Choices, Failure, type Restored, UNREACHABLE } from "./backend";
import type { Answer, Request } from "./local-worker";
import { type Processor, threads } from "./network";

const JPEG_QUALITY = 0.95;

/** Whether WebGPU is tried: never, on a graphics processor, or also where software emulates one. */
export type WebGpuUse = "never" | "hardware" | "always";

export class LocalBackend implements Backend {
  readonly isLocal = true;
  /** Called with what computes, once that is known. */
  onProcessor = (_: string): void => {};
  private worker?: Worker;
  private processor?: Processor;
  /** Why WebGPU was given up. */
  private failure = "";
  private next = 1;

  constructor(
    private readonly model: string,
    /** The network's `derain.multiple_px`. */
    private readonly multiple: number,
    private readonly webGpuUse: WebGpuUse,
  ) {}

  async restore(
    photo: File,
    choices: Choices,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Restored> {
    const bitmap = await createImageBitmap(photo).catch(() => {
      throw new Failure("this browser cannot read the format; try PNG or JPEG");
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
    // the page itself says what no result keeps
    return { file: await canvas.convertToBlob({ type, quality: JPEG_QUALITY }), omissions: "" };
  }

  /** Restore on the graphics processor if that works, else in WebAssembly. */
  private async run(
    rainy: ImageData,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Uint8ClampedArray<ArrayBuffer>> {
    this.processor ??= (await hasWebGpu(this.webGpuUse)) ? "webgpu" : "wasm";
    if (this.processor === "webgpu")
      try {
        return await this.runOn("webgpu", rainy, onProgress, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        this.stop();
        this.processor = "wasm";
        this.failure = error instanceof Error ? error.message : String(error);
        console.warn("WebGPU is not used:", error);
      }
    return this.runOn("wasm", rainy, onProgress, signal);
  }

  private stop(): void {
    this.worker?.terminate();
    this.worker = undefined;
  }

  private describe(processor: Processor): string {
    if (processor === "webgpu") return "The graphics processor restores them (WebGPU).";
    const count = threads() === 1 ? "1 thread" : `${threads()} threads`;
    const reason = this.failure && ` WebGPU failed: ${this.failure}`;
    return `The main processor restores them (WebAssembly, ${count}).${reason}`;
  }

  private runOn(
    processor: Processor,
    rainy: ImageData,
    onProgress: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Uint8ClampedArray<ArrayBuffer>> {
    signal.throwIfAborted(); // the photo may have been removed while it was decoded
    this.worker ??= new Worker(new URL("./local-worker.ts", import.meta.url), { type: "module" });
    const worker = this.worker;
    const id = this.next++;
    const pixels = rainy.data.slice().buffer;
    const place = document.baseURI;
    const request: Request = {
      id,
      model: new URL(this.model, place).href,
      runtime: new URL("runtime", place).href,
      processor,
      width: rainy.width,
      height: rainy.height,
      multiple: this.multiple,
      pixels,
    };
    return new Promise((resolve, reject) => {
      const abort = () => {
        // a running tile cannot be interrupted otherwise
        this.stop();
        end();
        reject(new DOMException("aborted", "AbortError"));
      };
      const onMessage = ({ data }: MessageEvent<Answer>) => {
        if (data.id !== id) return;
        if ("isLoaded" in data) this.onProcessor(this.describe(processor));
        else if ("done" in data) onProgress(data.done / data.total);
        else {
          end();
          if ("error" in data) reject(new Failure(data.error, UNREACHABLE));
          else resolve(new Uint8ClampedArray(data.pixels));
        }
      };
      const onError = (event: ErrorEvent) => {
        end();
        this.worker = undefined;
        reject(new Failure(event.message || "The network cannot be loaded.", UNREACHABLE));
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

/** Return whether this browser can run the runtime's build with WebGPU. */
async function hasWebGpu(use: WebGpuUse): Promise<boolean> {
  if (use === "never" || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter != null && (use === "always" || !adapter.info.isFallbackAdapter);
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
