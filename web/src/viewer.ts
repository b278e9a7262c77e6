/** The stage: compare, zoom, pan and paint by mouse, touch and keyboard. */

import { contextOf, drawRain, drawRestored } from "./blend";
import type { Photo } from "./photo";

export type Mode = "compare" | "restored" | "rain";
export type Brush = "off" | "protect" | "restore";
type Point = { x: number; y: number };

const ZOOM_STEP = 1.25;
const MAX_ZOOM = 16;
const PAN_PX = 40;
/** Distance from the divider within which a drag moves it, and radius of its handle. */
const GRIP_PX = 16;

export class Viewer {
  mode: Mode = "compare";
  brush: Brush = "off";
  /** Diameter of the brush in pixels of the screen. */
  brushSize = 40;
  /** Place of the divider, 0 to 1 of the stage. */
  split = 0.5;
  /** Called when the divider was dragged. */
  onSplit = (_: number): void => {};

  private photo?: Photo;
  private mixed?: OffscreenCanvas;
  private rain?: OffscreenCanvas;
  private zoom = 1;
  private centre = { x: 0.5, y: 0.5 };
  private readonly pointers = new Map<number, Point>();
  private isScheduled = false;
  private isSplitting = false;

  constructor(private readonly canvas: HTMLCanvasElement) {
    new ResizeObserver(() => this.schedule()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, (event) => this.onUp(event));
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Show another photo, or none. */
  show(photo: Photo | undefined): void {
    this.photo = photo?.isShown ? photo : undefined;
    if (this.photo?.rainy) {
      const { width, height } = this.photo.rainy;
      this.mixed = new OffscreenCanvas(width, height);
      this.rain = new OffscreenCanvas(width, height);
      if (this.canvas.parentElement)
        this.canvas.parentElement.style.aspectRatio = `${width} / ${height}`;
      this.photo.protect ??= new OffscreenCanvas(width, height);
    }
    this.fit();
    this.refresh();
  }

  /** Mix again, after a change of strength or brush. */
  refresh(): void {
    if (this.photo && this.mixed && this.rain) {
      drawRestored(this.photo, this.mixed);
      if (this.mode === "rain") drawRain(this.photo, this.mixed, this.rain);
    }
    this.schedule();
  }

  fit(): void {
    this.zoom = 1;
    this.centre = { x: 0.5, y: 0.5 };
    this.schedule();
  }

  zoomBy(factor: number): void {
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    this.limit();
  }

  clearBrush(): void {
    const protect = this.photo?.protect;
    if (!this.photo || !protect) return;
    contextOf(protect).clearRect(0, 0, protect.width, protect.height);
    this.photo.isPainted = false;
    this.refresh();
  }

  private limit(): void {
    const margin = 0.5 / this.zoom;
    this.centre.x = Math.min(1 - margin, Math.max(margin, this.centre.x));
    this.centre.y = Math.min(1 - margin, Math.max(margin, this.centre.y));
    this.schedule();
  }

  /** Scale and offset from the photo's pixels to the canvas's. */
  private placement(): { scale: number; x: number; y: number } {
    const { width, height } = this.photo?.rainy ?? { width: 1, height: 1 };
    const fitted = Math.min(this.canvas.width / width, this.canvas.height / height);
    const scale = fitted * this.zoom;
    return {
      scale,
      x: this.canvas.width / 2 - this.centre.x * width * scale,
      y: this.canvas.height / 2 - this.centre.y * height * scale,
    };
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      this.draw();
    });
  }

  private draw(): void {
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    const context = this.canvas.getContext("2d");
    const { photo, mixed, rain } = this;
    if (!context || !photo?.rainy || !mixed || !rain) return;
    const { scale, x, y } = this.placement();
    const [width, height] = [photo.rainy.width * scale, photo.rainy.height * scale];
    context.imageSmoothingEnabled = scale < 3;
    const after = this.mode === "rain" ? rain : mixed;
    context.drawImage(after, x, y, width, height);
    if (this.mode !== "compare") return;
    const divider = Math.round(this.canvas.width * this.split);
    context.save();
    context.beginPath();
    context.rect(0, 0, divider, this.canvas.height);
    context.clip();
    context.drawImage(photo.rainy, x, y, width, height);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(divider - ratio, 0, 2 * ratio, this.canvas.height);
    context.strokeStyle = "#000";
    context.lineWidth = ratio;
    context.beginPath();
    context.arc(divider, this.canvas.height / 2, (GRIP_PX / 2) * ratio, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  private onDown(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size > 1) return;
    if (this.brush !== "off") this.paint({ x: event.clientX, y: event.clientY });
    const box = this.canvas.getBoundingClientRect();
    const distance = Math.abs(event.clientX - box.left - this.split * box.width);
    this.isSplitting = this.brush === "off" && this.mode === "compare" && distance <= GRIP_PX;
  }

  private onUp(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    this.isSplitting = false;
  }

  private splitAt(x: number): void {
    const box = this.canvas.getBoundingClientRect();
    this.split = Math.min(1, Math.max(0, (x - box.left) / box.width));
    this.onSplit(this.split);
    this.schedule();
  }

  private onMove(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.pointers.entries()].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const distance = (p: Point) => Math.hypot(p.x - other.x, p.y - other.y);
      this.zoomBy(distance(now) / Math.max(distance(before), 1));
      this.panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (this.isSplitting) this.splitAt(event.clientX);
    else if (this.brush !== "off") this.paint(now, before);
    else this.panBy(now.x - before.x, now.y - before.y);
    this.pointers.set(event.pointerId, now);
  }

  private panBy(dx: number, dy: number): void {
    if (!this.photo?.rainy) return;
    const ratio = window.devicePixelRatio;
    const { scale } = this.placement();
    this.centre.x -= (dx * ratio) / (this.photo.rainy.width * scale);
    this.centre.y -= (dy * ratio) / (this.photo.rainy.height * scale);
    this.limit();
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP);
  }

  private onKey(event: KeyboardEvent): void {
    const pans: Record<string, [number, number]> = {
      ArrowLeft: [PAN_PX, 0],
      ArrowRight: [-PAN_PX, 0],
      ArrowUp: [0, PAN_PX],
      ArrowDown: [0, -PAN_PX],
    };
    const pan = pans[event.key];
    if (pan) this.panBy(...pan);
    else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  /** Paint from `before` to `now`, both in pixels of the window. */
  private paint(now: Point, before: Point = now): void {
    const protect = this.photo?.protect;
    if (!this.photo || !protect) return;
    const ratio = window.devicePixelRatio;
    const box = this.canvas.getBoundingClientRect();
    const { scale, x, y } = this.placement();
    const place = (point: Point): [number, number] => [
      ((point.x - box.left) * ratio - x) / scale,
      ((point.y - box.top) * ratio - y) / scale,
    ];
    const context = contextOf(protect);
    context.globalCompositeOperation = this.brush === "protect" ? "source-over" : "destination-out";
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = (this.brushSize * ratio) / scale;
    context.beginPath();
    context.moveTo(...place(before));
    context.lineTo(...place(now));
    context.stroke();
    context.beginPath();
    context.arc(...place(now), context.lineWidth / 2, 0, 2 * Math.PI);
    context.fill();
    this.photo.isPainted = true;
    this.refresh();
  }
}
