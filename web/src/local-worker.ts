/** A photo in a worker of this browser, tile by tile. */

import { Network, type Place } from "./network";
import { fadeWeights, planTiles, reflect, type Span, type TilePlan } from "./tiles";

/** Sides of the tiles. With 280 px, an example came out 43 dB from Python, with 336 px 52 dB. */
const TILE_PX = 336;

export interface Request extends Place {
  id: number;
  width: number;
  height: number;
  /** Tiles start at its multiples, so that the network's windows fall where they would otherwise. */
  multiple: number;
  /** RGBA; it comes back with the restored colours. */
  pixels: ArrayBuffer;
}

export type Answer =
  | { id: number; isLoaded: true }
  | { id: number; done: number; total: number }
  | { id: number; pixels: ArrayBuffer }
  | { id: number; error: string };

let loaded: Promise<Network> | undefined;

self.onmessage = async (event: MessageEvent<Request>) => {
  const request = event.data;
  const answer = (text: Answer, transfer: Transferable[] = []) =>
    self.postMessage(text, { transfer });
  try {
    loaded ??= Network.load(request);
    const network = await loaded;
    answer({ id: request.id, isLoaded: true });
    const pixels = new Uint8ClampedArray(request.pixels);
    const restored = await restore(network, pixels, request, (done, total) =>
      answer({ id: request.id, done, total }),
    );
    answer({ id: request.id, pixels: restored.buffer as ArrayBuffer }, [restored.buffer]);
  } catch (error) {
    loaded = undefined;
    answer({ id: request.id, error: error instanceof Error ? error.message : String(error) });
  }
};

async function restore(
  network: Network,
  rainy: Uint8ClampedArray,
  size: { width: number; height: number; multiple: number },
  onTile: (done: number, total: number) => void,
): Promise<Uint8ClampedArray> {
  const { width, height } = size;
  const plan = planTiles(height, width, TILE_PX, size.multiple);
  const restored = rainy.slice(); // keeps the alpha
  const total = plan.rows.length * plan.columns.length;
  let done = 0;
  let carried = new Float32Array(0);
  for (const row of plan.rows) {
    const rows = row.stop - row.keep;
    const band = new Float32Array(rows * width * 3);
    band.set(carried); // the faded end of the row above
    for (const column of plan.columns) {
      const input = cut(rainy, size, plan, row, column);
      const output = await network.run(input, plan.height, plan.width);
      add(band, width, output, plan, row, column);
      onTile(++done, total);
    }
    const isLast = row === plan.rows[plan.rows.length - 1];
    const final = rows - (isLast ? 0 : plan.fade);
    for (let i = 0; i < final * width; i++)
      for (let c = 0; c < 3; c++)
        restored[(row.keep * width + i) * 4 + c] = (band[i * 3 + c] ?? 0) * 255;
    carried = band.slice(final * width * 3);
  }
  return restored;
}

/** The planes of a tile in 0..1; beyond the picture they are reflected. */
function cut(
  rainy: Uint8ClampedArray,
  { width, height }: { width: number; height: number },
  plan: TilePlan,
  row: Span,
  column: Span,
): Float32Array {
  const planes = new Float32Array(3 * plan.height * plan.width);
  for (let y = 0; y < plan.height; y++) {
    const line = reflect(row.start + y, height) * width;
    for (let x = 0; x < plan.width; x++) {
      const place = (line + reflect(column.start + x, width)) * 4;
      for (let c = 0; c < 3; c++)
        planes[(c * plan.height + y) * plan.width + x] = (rainy[place + c] ?? 0) / 255;
    }
  }
  return planes;
}

/** Add the used part of a tile to its row of tiles, with its weights. */
function add(
  band: Float32Array,
  width: number,
  planes: Float32Array,
  plan: TilePlan,
  row: Span,
  column: Span,
): void {
  const down = fadeWeights(row, plan.rows, plan.fade);
  const across = fadeWeights(column, plan.columns, plan.fade);
  for (let y = 0; y < down.length; y++)
    for (let x = 0; x < across.length; x++) {
      const weight = (down[y] ?? 0) * (across[x] ?? 0);
      const place = (y * width + column.keep + x) * 3;
      const source = (row.keep - row.start + y) * plan.width + (column.keep - column.start) + x;
      for (let c = 0; c < 3; c++) {
        const value = planes[c * plan.height * plan.width + source] ?? 0;
        band[place + c] = (band[place + c] ?? 0) + weight * value;
      }
    }
}
