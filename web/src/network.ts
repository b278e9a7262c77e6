/** The network in ONNX Runtime Web, on the graphics processor (WebGPU) or in WebAssembly. */

import type { InferenceSession } from "onnxruntime-web";

type Runtime = typeof import("onnxruntime-web");
export type Processor = "webgpu" | "wasm";

export interface Place {
  /** Address of the network. */
  model: string;
  /** Address of the folder of the runtime. */
  runtime: string;
  processor: Processor;
}

/** Side of the picture that both processors compute before WebGPU is trusted. */
const PROBE_PX = 56;
/** Mean square of the difference that is accepted there: 45 dB. */
const MAX_ERROR = 10 ** -4.5;

export class Network {
  private constructor(
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
  ) {}

  /** Load a network. Throws where the runtime, or WebGPU, does not work in this browser. */
  static async load({ model, runtime, processor }: Place): Promise<Network> {
    // not bundled: the runtime's files lie beside the page; the one with WebGPU needs JSPI
    const name = processor === "webgpu" ? "ort.jspi.min.mjs" : "ort.wasm.min.mjs";
    const library: Runtime = await import(/* @vite-ignore */ `${runtime}/${name}`);
    library.env.wasm.wasmPaths = `${runtime}/`;
    library.env.wasm.numThreads = threads();
    const create = async (processor: Processor) =>
      new Network(
        library,
        await library.InferenceSession.create(model, {
          executionProviders: [processor],
          enableCpuMemArena: false, // tiles come one at a time, and a tab has little memory
          logSeverityLevel: 3, // errors
        }),
      );
    const network = await create(processor);
    if (processor === "webgpu") await network.compare(await create("wasm"));
    return network;
  }

  /** Restore the planes of a tile, 0 to 1. */
  async run(planes: Float32Array, height: number, width: number): Promise<Float32Array> {
    const rainy = new this.runtime.Tensor("float32", planes, [1, 3, height, width]);
    const { restored } = await this.session.run({ rainy });
    if (!restored) throw new Error("the network has no output `restored`");
    const data = (await restored.getData()) as Float32Array;
    restored.dispose();
    return data;
  }

  /** Throw unless `exact` computes the same. Graphics drivers have bugs. `exact` is released. */
  private async compare(exact: Network): Promise<void> {
    const probe = Float32Array.from(
      { length: 3 * PROBE_PX ** 2 },
      (_, index) => (1 + Math.sin(index * 0.37) * Math.cos(index * 0.011)) / 2,
    );
    const expected = await exact.run(probe, PROBE_PX, PROBE_PX);
    await exact.session.release();
    const found = await this.run(probe, PROBE_PX, PROBE_PX);
    const error = found.reduce((sum, value, i) => sum + (value - (expected[i] ?? 0)) ** 2, 0);
    // not `>`, which is false for NaN
    if (!(error / found.length <= MAX_ERROR)) throw new Error("its results are wrong");
  }
}

/** Threads of WebAssembly. */
export function threads(): number {
  return self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
}
