/** The picture of the screen: rainy and restored, mixed by strength and brush. */

import type { Photo } from "./photo";

/** Draw the restored photo at its strength, without what the brush protects. */
export function drawRestored(photo: Photo, target: OffscreenCanvas): void {
  const context = contextOf(target);
  const { rainy, restored, protect } = photo;
  if (!rainy || !restored) return;
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = 1;
  context.drawImage(restored, 0, 0, target.width, target.height);
  if (protect && photo.isPainted) {
    context.globalCompositeOperation = "destination-out";
    context.drawImage(protect, 0, 0);
  }
  context.globalCompositeOperation = "destination-over";
  context.drawImage(rainy, 0, 0, target.width, target.height);
  if (photo.strength < 1) {
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1 - photo.strength;
    context.drawImage(rainy, 0, 0, target.width, target.height);
    context.globalAlpha = 1;
  }
}

/** Draw the light that is removed: the difference of the rainy photo and `mixed`. */
export function drawRain(photo: Photo, mixed: OffscreenCanvas, target: OffscreenCanvas): void {
  const context = contextOf(target);
  if (!photo.rainy) return;
  context.globalCompositeOperation = "source-over";
  context.drawImage(photo.rainy, 0, 0, target.width, target.height);
  context.globalCompositeOperation = "difference";
  context.drawImage(mixed, 0, 0);
  context.globalCompositeOperation = "source-over";
}

/** Return the mask for the server: white where rain is removed, at the photo's own size. */
export async function maskOf(photo: Photo): Promise<Blob | undefined> {
  if (!photo.protect || !photo.isPainted) return undefined;
  const full = await createImageBitmap(photo.file);
  const canvas = new OffscreenCanvas(full.width, full.height);
  full.close();
  const context = contextOf(canvas);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  // the brush paints white; here protected pixels are black
  context.globalCompositeOperation = "difference";
  context.drawImage(photo.protect, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/png" });
}

export function contextOf(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser has no 2D canvas");
  return context;
}
