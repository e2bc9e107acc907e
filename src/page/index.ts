import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { imagesToPixels } from "../model/data/image-batch";
import { encodePicture, imageGrid } from "../model/image-files";
import { trainedStepsOf, type Model } from "../model/model";
import { encodeSafetensors } from "../model/safetensors-format";
import { sample } from "../model/sampler";
import { bundlePage } from "./bundle";
import type { PageModel } from "./client/messages";
import { storedWeights } from "../model/float16";
import { pageHtml } from "./template";

export interface PageOptions {
  /** Heading of the page. */
  title: string;
  /** Pictures of each class in the gallery. Default 8. */
  galleryColumns?: number;
}

const GALLERY_PIXELS_A_PICTURE = 64;

/**
 * A model as one HTML page that runs it in the visitor's browser: tfjs on WebAssembly, the network's own code, the weights as
 * 16-bit numbers. It loads nothing, so that it works from a disk, in a mail, without a network.
 */
export async function modelPage(model: Model, { title, galleryColumns = 8 }: PageOptions): Promise<string> {
  const { config } = model.provenance as { config?: { dataset?: string } };
  const steps = trainedStepsOf(model);
  const bundle = await bundlePage();
  const weights = Object.fromEntries(Object.entries(model.parameters).map(([name, tensor]) => [name, storedWeights(tensor.shape, tensor.dataSync() as Float32Array, "F16")]));
  const program = await readFile(require.resolve("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"));
  const facts: PageModel = { title, network: model.network, classNames: model.classNames, parameters: Object.values(model.parameters).reduce((sum, { size }) => sum + size, 0), ...(steps !== undefined && { steps }) };
  return pageHtml({
    model: facts,
    bundle,
    packed: { worker: await pack(Buffer.from(bundle.worker)), weights: await pack(Buffer.concat(encodeSafetensors(weights))), program: await pack(program) },
    gallery: await drawGallery(model, galleryColumns),
    policy: `default-src 'none'; script-src '${hashOf(bundle.main)}' blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src blob:; img-src data: blob:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'`,
    credit: config?.dataset === "avatars" ? "The avatars that it learnt from were drawn by DiceBear (CC0)." : "",
  });
}

const hashOf = (script: string): string => `sha256-${createHash("sha256").update(script).digest("base64")}`;

async function pack(bytes: Uint8Array): Promise<string> {
  return (await promisify(gzip)(bytes, { level: 9 })).toString("base64");
}

async function drawGallery(model: Model, columns: number): Promise<{ address: string; columns: number; width: number; height: number }> {
  const { imageSize } = model.network;
  const images = sample(model, model.classNames.flatMap((_, label) => new Array<number>(columns).fill(label)));
  const pixels = await imagesToPixels(images);
  images.dispose();
  const picture = imageGrid(pixels, imageSize, { columns, scale: 1, gap: 1 });
  const scale = Math.max(1, Math.round(GALLERY_PIXELS_A_PICTURE / imageSize));
  // The browser enlarges it without smoothing.
  return { address: `data:image/png;base64,${Buffer.from(await encodePicture(picture, "png")).toString("base64")}`, columns, width: picture.width * scale, height: picture.height * scale };
}
