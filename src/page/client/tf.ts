// Stands in the place of src/model/engine/tf in the page's bundle: the same tfjs, on WebAssembly alone.
import * as core from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops";
import "@tensorflow/tfjs-backend-wasm";

export { core as tf };
