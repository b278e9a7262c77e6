/** Where a picture is cut for the network; the same arithmetic as `derain.inference.tile_plan`. */

export const OVERLAP_PX = 56;

/** One tile along one axis: computed from `start`, used from `keep` to `stop`. */
export interface Span {
  start: number;
  keep: number;
  stop: number;
}

export interface TilePlan {
  height: number;
  width: number;
  fade: number;
  rows: Span[];
  columns: Span[];
}

const roundUp = (length: number, multiple: number) => Math.ceil(length / multiple) * multiple;

/** Cut a picture into tiles of at most `maxSide`, which start at multiples of `multiple`. */
export function planTiles(
  height: number,
  width: number,
  maxSide: number,
  multiple: number,
): TilePlan {
  const overlap = roundUp(OVERLAP_PX, multiple);
  const limit = Math.max(Math.floor(maxSide / multiple) * multiple, 3 * overlap);
  const [tileHeight, tileWidth] = [height, width].map((length) =>
    sideOf(length, limit, multiple, overlap),
  ) as [number, number];
  return {
    height: tileHeight,
    width: tileWidth,
    fade: overlap / 2,
    rows: spansOf(height, tileHeight, multiple, overlap),
    columns: spansOf(width, tileWidth, multiple, overlap),
  };
}

function countOf(length: number, side: number, multiple: number, overlap: number): number {
  if (side >= length) return 1;
  return 1 + Math.ceil(roundUp(length - side, multiple) / (side - overlap));
}

/** The smallest side that covers `length` with as many tiles as `maxSide`. */
function sideOf(length: number, maxSide: number, multiple: number, overlap: number): number {
  if (length <= maxSide) return length;
  const count = countOf(length, maxSide, multiple, overlap);
  return roundUp(Math.ceil((length + (count - 1) * overlap) / count), multiple);
}

function spansOf(length: number, side: number, multiple: number, overlap: number): Span[] {
  const count = countOf(length, side, multiple, overlap);
  const fade = overlap / 2;
  const steps = roundUp(Math.max(length - side, 0), multiple) / multiple;
  const starts = Array.from(
    { length: count },
    (_, index) => Math.floor((index * steps) / Math.max(count - 1, 1)) * multiple,
  );
  return starts.map((start, index) => {
    const seam = (left: number, right: number) => Math.floor((left + side + right - fade) / 2);
    const before = starts[index - 1];
    const after = starts[index + 1];
    return {
      start,
      keep: before === undefined ? 0 : seam(before, start),
      stop: after === undefined ? length : seam(start, after) + fade,
    };
  });
}

/** The weight of a tile along one axis: it fades towards each neighbour. */
export function fadeWeights(span: Span, spans: Span[], fade: number): Float32Array {
  const weights = new Float32Array(span.stop - span.keep).fill(1);
  for (let i = 0; i < fade; i++) {
    const ramp = (i + 0.5) / fade;
    const last = weights.length - fade + i;
    if (span !== spans[0]) weights[i] = (weights[i] ?? 1) * ramp;
    if (span !== spans[spans.length - 1]) weights[last] = (weights[last] ?? 1) * (1 - ramp);
  }
  return weights;
}

/** The index of a position beyond the end of an axis, reflected at its last pixel. */
export function reflect(position: number, length: number): number {
  if (position < length) return position;
  const period = Math.max(2 * (length - 1), 1);
  const place = position % period;
  return Math.min(place, period - place);
}
