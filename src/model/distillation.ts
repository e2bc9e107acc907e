import { differences } from "./differences";
import type { Encoder } from "./encoder";
import { tf } from "./engine/tf";
import { lossNetworksOf } from "./metrics/independence";
import { disposeModel, evaluateModel, loadModel, trainingMethodOf, type Model } from "./model";
import type { NetworkConfig } from "./network";
import type { ImageField } from "./objective";
import { followFlow, latentAt, perSample } from "./trajectory";

/** Images [B, H, W, 3] in [-1, 1] -> normalised latents [B, h, w, c]: an encoder's encode(). */
export type LatentsOf = (images: tf.Tensor4D) => tf.Tensor4D;

/** A flow of latents that a trained network knows, and the images of its end. */
export interface Teacher {
  /** Latents [B, h, w, c], their times [B] above 0 and classes [B] -> dz/dt [B, h, w, c]. */
  velocityAt: (zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D) => tf.Tensor4D;
  /** Latents [B, h, w, c] at the flow's end and classes [B] -> images [B, H, W, 3]. */
  imageOf: (z: tf.Tensor4D, y: tf.Tensor1D) => tf.Tensor4D;
  /** In how many of Euler's steps the flow is followed, how they are spaced (see followFlow(); equal by default), and the share of t at which it ends, from 0 to below 1. */
  steps: number;
  spacing?: number;
  endShare: number;
}

/** How far a CrossFlow network's own flow is followed: down to a tenth of t, where F(z, 0, y) is clean. */
export const OWN_FLOW = { steps: 6, endShare: 0.1 };

/** How a latent flow is followed: to its end, for its images are made of clean latents, and by steps that get shorter, of which fewer suffice (docs/log.md). */
export const LATENT_FLOW = { steps: 10, spacing: 1.5, endShare: 0 };

/** A network's images in one step, F(z, 0, y): latents [B, h, w, c] and classes [B] -> images [B, H, W, 3]. */
export function oneStepOf(field: ImageField): Teacher["imageOf"] {
  return (z, y) => tf.tidy(() => field(z, tf.zeros([z.shape[0]]), y));
}

/**
 * A CrossFlow network as a teacher, by its own flow. On the diagonal F(z_t, t, y) is the mean image of all that may have led to z_t, and its latent about the mean
 * latent, so v(z_t, t | y) = (z_t - E(F(z_t, t, y))) / t, the mean of eps - z. Unlike the velocity of the training latents it goes as smoothly as the network can.
 * @param field the trained network
 * @param latentsOf the encoder of its latents
 */
export function ownFlowTeacher(field: ImageField, latentsOf: LatentsOf, flow: Partial<typeof OWN_FLOW> = {}): Teacher {
  return {
    velocityAt: (zT, t, y) => tf.tidy(() => tf.div(tf.sub(zT, latentsOf(tf.clipByValue(field(zT, t, y), -1, 1))), perSample(t))),
    imageOf: oneStepOf(field),
    ...OWN_FLOW,
    ...flow,
  };
}

/**
 * A latent flow (the baseline "latent-flow") as a teacher: its network ends in a velocity of latents and costs a fraction of one that ends in images, so it can be
 * trained for long and followed in many steps.
 * @param velocity the trained network: latents [B, h, w, c], times [B], classes [B] -> velocities [B, h, w, c]
 * @param imageOf what makes images of its latents: the autoencoder's decoder, or a CrossFlow network as a decoder
 */
export function latentFlowTeacher(velocity: Teacher["velocityAt"], imageOf: Teacher["imageOf"], flow: Partial<typeof LATENT_FLOW> = {}): Teacher {
  return { velocityAt: velocity, imageOf, ...LATENT_FLOW, ...flow };
}

/**
 * Follows a teacher's flow downwards, from t to a share of t.
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @returns z at the times endShare t [B, h, w, c]
 */
export function latentsAlongFlow({ velocityAt, steps, spacing, endShare }: Teacher, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D): tf.Tensor4D {
  return tf.tidy(() => followFlow((point, time) => velocityAt(point, time, y), zT, t, tf.mul(t, endShare), steps, spacing));
}

/**
 * What F(z_t, 0, y) has to be, where a trained network is the teacher (ours; that one step can learn what many steps of a flow do is Luhman and Luhman's, 2021,
 * "Knowledge distillation in iterative generative models"): the teacher's image after the many steps of its flow. The flow of the training latents ends
 * in one of them, and in which one no small network can tell from the noise, so that one step learns a blur of several; a network's flow is as simple as the network.
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @returns images [B, H, W, 3]
 */
export function distillationTarget(teacher: Teacher, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D): tf.Tensor4D {
  return tf.tidy(() => teacher.imageOf(latentsAlongFlow(teacher, zT, t, y), y));
}

/**
 * What F(z_t, 0, y) has to be to lose what the autoencoder does not know (ours): the one-step image of a frozen copy, once through encoder and decoder. What the image shows stays,
 * grain and a weave on flat areas go. The copy stays as it is, so that what the autoencoder changes is changed once.
 * @param teacher a CrossFlow network as a teacher, whose imageOf is F(z, 0, y)
 * @param throughAutoencoder images [B, H, W, 3] in [-1, 1] -> their reconstructions
 * @param zT latents [B, h, w, c]
 * @param y class labels, int32 [B]
 * @returns images [B, H, W, 3]
 */
export function reconstructionTarget({ imageOf }: Pick<Teacher, "imageOf">, throughAutoencoder: (images: tf.Tensor4D) => tf.Tensor4D, zT: tf.Tensor4D, y: tf.Tensor1D): tf.Tensor4D {
  return tf.tidy(() => throughAutoencoder(tf.clipByValue(imageOf(zT, y), -1, 1)));
}

/** With which noise a one-step image is taken back to a time: that it was made of, or that noise with its channels exchanged. */
export type RefinementNoise = "own" | "exchanged";

export interface RefinementOptions {
  /** The share of t from which the flow is followed, from 0 (the image once through the autoencoder) to 1 (of its own noise: the flow's own image, which is distillation). */
  start: number;
  noise: RefinementNoise;
  /** In how many of Euler's steps. */
  steps: number;
}

export const REFINEMENT_DEFAULTS: RefinementOptions = { start: 0.3, noise: "own", steps: 4 };

/**
 * Another noise, made of one: channels in reverse order, every second negated. It is as normal as the first; where channels are even in number, the two are at right
 * angles at each place.
 * @param eps [B, h, w, c]
 */
export function exchangedNoise(eps: tf.Tensor4D): tf.Tensor4D {
  const channels = eps.shape[3];
  return tf.tidy(() => tf.mul(tf.reverse(eps, 3), tf.tensor4d(Array.from({ length: channels }, (_, channel) => (channel % 2 === 0 ? 1 : -1)), [1, 1, 1, channels])) as tf.Tensor4D);
}

/**
 * What F(z_t, 0, y) has to be to look like a flow's images without having to become other images (ours; that a flow ends what is taken back to a time in its own manner
 * is Meng et al.'s, 2022, "SDEdit"): a frozen network's one step goes most of the way, a flow of latents the rest. The latent of the one-step image is taken back to a share of t
 * with noise, and from there the teacher's flow is followed to its end. Which image it becomes is settled by the noise and the frozen network, so that one step needs not to average
 * over images as with distillationTarget(); what the network left undecided, a colour between two, half a mark, the flow decides. Taken back with the noise that it was made
 * of, an image stays on the straight line to z_t; but the flow knows images under noise that has nothing to do with them, which exchanged noise comes nearer to.
 * @param teacher a flow of latents
 * @param oneStep the frozen network, as oneStepOf() gives it
 * @param latentsOf the encoder; it is given the images clamped to [-1, 1]
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @returns images [B, H, W, 3]
 */
export function refinementTarget(teacher: Teacher, oneStep: Teacher["imageOf"], latentsOf: LatentsOf, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D, options: Partial<RefinementOptions> = {}): tf.Tensor4D {
  const { start, noise, steps } = { ...REFINEMENT_DEFAULTS, ...options };
  return tf.tidy(() => {
    const end = latentsOf(tf.clipByValue(oneStep(zT, y), -1, 1));
    const time = tf.mul(t, start) as tf.Tensor1D;
    const eps = tf.add(end, tf.div(tf.sub(zT, end), perSample(t))) as tf.Tensor4D; // z_t = (1 - t) end + t eps
    return distillationTarget({ ...teacher, steps }, latentAt(end, noise === "own" ? eps : exchangedNoise(eps), time), time, y);
  });
}

/**
 * A velocity led away from a worse one (autoguidance: Karras et al., 2024, "Guiding a Diffusion Model with a Bad Version of Itself"): v_guide + w (v - v_guide). What a flow
 * has not learned well the guide has learned less well, so that their difference points to what a longer training would have brought.
 * @param velocityAt the flow's velocity
 * @param guideAt the velocity of a flow that was trained for a shorter time, or with a smaller network
 * @param guidance w: 1 leaves the velocity as it is, more leads it away from the guide
 * @returns the guided velocity, of the same latents [B, h, w, c], times [B] and classes [B]
 */
export function guidedVelocity(velocityAt: Teacher["velocityAt"], guideAt: Teacher["velocityAt"], guidance: number): Teacher["velocityAt"] {
  return (zT, t, y) =>
    tf.tidy(() => {
      const away = guideAt(zT, t, y);
      return tf.add(away, tf.mul(guidance, tf.sub(velocityAt(zT, t, y), away)));
    });
}

/** Sizes in which a teacher has to agree with its subject; its own may be another network. */
const SUBJECT_SHAPE = ["latentSize", "latentChannels", "classes"] as const;

/** The options of a training that name its teacher. */
export interface TeacherFiles {
  /** Model that knows the flow: a CrossFlow network or a latent flow. Empty: the initial model. */
  teacherModel: string;
  /** Model that the training starts from. */
  initialModel: string;
  /** A worse model of the same flow, from which the teacher is led away. Empty: none. */
  guideModel?: string;
  /** How far: the factor of guidedVelocity(), 1 and above. */
  guidance?: number;
  /** A CrossFlow network, or one of the method "decoder", that makes the images of a latent flow's latents. Empty: the autoencoder's decoder. */
  decoderModel?: string;
}

/** What a teacher has to know: the latents and classes of the training. */
export interface TeacherSubject {
  network: NetworkConfig;
  encoderFingerprint: string;
  /** Absent where latents come without it. */
  encoder?: Pick<Encoder, "encode" | "decode">;
}

/** A teacher with weights of its own. */
export interface LoadedTeacher {
  teacher: Teacher;
  /** Pretrained networks that losses of its training used: what is measured in them is not independent of what learns from it. */
  lossNetworks: string[];
  /** The network of its flow, where that is one of latents. */
  flow?: Pick<Model, "network" | "parameters">;
  /** Frees the weights. */
  dispose: () => void;
}

/**
 * Loads a distillation's teacher, with its guide and what makes images of its latents where these are other models.
 * @returns the teacher; its dispose() frees the weights
 * @throws Error when a file is no model, knows no flow (a decoder: makes no images), or was trained with other classes or on the latents of another encoder, when there is no
 * encoder, or when a decoder is given to a CrossFlow network, which makes its own images
 */
export async function loadTeacher({ teacherModel, initialModel, guideModel = "", guidance = 1, decoderModel = "" }: TeacherFiles, subject: TeacherSubject): Promise<LoadedTeacher> {
  const parts: LoadedPart<unknown>[] = [];
  const dispose = (): void => parts.forEach((part) => part.dispose());
  const load = async <Made>(file: string, part: Part<Made>, lacks: string): Promise<LoadedPart<Made>> => {
    const loaded = await loadPart(file, subject, part, lacks);
    parts.push(loaded);
    return loaded;
  };
  const loadFlow = (file: string): Promise<LoadedPart<Teacher>> => load(file, FLOWS, "knows no flow of latents");
  try {
    const file = teacherModel || initialModel;
    const { made, model, method } = await loadFlow(file);
    const teacher = { ...made };
    if (guideModel !== "") teacher.velocityAt = guidedVelocity(made.velocityAt, (await loadFlow(guideModel)).made.velocityAt, guidance);
    if (decoderModel !== "") {
      if (method !== "latent-flow") throw new Error(`decoderModel makes the images of a latent flow, and ${file} is a CrossFlow network, which makes its own: leave out decoderModel`);
      teacher.imageOf = (await load(decoderModel, DECODERS, "makes no images of latents")).made;
    }
    return { teacher, ...(method === "latent-flow" && { flow: model }), lossNetworks: [...new Set(parts.flatMap((part) => lossNetworksOf(part.model)))], dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** What the network of a method serves as in a teacher. */
type Part<Made> = Record<string, (field: ImageField, autoencoder: NonNullable<TeacherSubject["encoder"]>, model: Model) => Made>;

const FLOWS: Part<Teacher> = {
  crossflow: (field, autoencoder) => ownFlowTeacher(field, (images) => autoencoder.encode(images)),
  "latent-flow": (field, autoencoder) => latentFlowTeacher(field, (z) => autoencoder.decode(z)),
};

/** As the sampler's decode(), at the smallest time that the network was trained at. */
const decodingOf: Part<Teacher["imageOf"]>[string] = (field, _, { minimumTime }) => (z, y) => tf.tidy(() => field(z, tf.fill([z.shape[0]], minimumTime) as tf.Tensor1D, y));

const DECODERS: Part<Teacher["imageOf"]> = { crossflow: decodingOf, decoder: decodingOf };

/** Methods whose networks make images of latents. */
export const DECODING_METHODS: readonly string[] = Object.keys(DECODERS);

/** What was made of a file's network; dispose() frees its weights. */
interface LoadedPart<Made> {
  made: Made;
  model: Model;
  method: string;
  dispose: () => void;
}

/**
 * Why a model can not serve another, whose latents and classes it has to know.
 * @param methods those of which it may be
 * @param lacks what a model of another method lacks: "makes no images of latents"
 * @returns the reason and what to choose in its place; undefined where it can
 */
export function whyUnfit(model: Pick<Model, "network" | "encoderFingerprint" | "provenance">, { network, encoderFingerprint }: Pick<TeacherSubject, "network" | "encoderFingerprint">, methods: readonly string[], lacks: string): string | undefined {
  const method = trainingMethodOf(model);
  if (!methods.includes(method)) return `a model of the method "${method}" ${lacks}. Choose one of the method ${methods.join(" or ")}`;
  const differing = differences(model.network, network, SUBJECT_SHAPE);
  if (differing !== "") return `it was trained with other latents or classes, ${differing}. Choose a model of the same data`;
  if (model.encoderFingerprint !== encoderFingerprint) return "it was trained on the latents of another encoder. Train it further with these first (endTarget \"derivative\"), or choose a model of the same data";
  return undefined;
}

/** @param lacks see whyUnfit() */
async function loadPart<Made>(file: string, subject: TeacherSubject, part: Part<Made>, lacks: string): Promise<LoadedPart<Made>> {
  const { encoder } = subject;
  const model = await loadModel(file);
  const field: ImageField = (zT, r, y) => evaluateModel(model, zT, r, y);
  try {
    const unfit = whyUnfit(model, subject, Object.keys(part), lacks);
    if (unfit !== undefined) throw new Error(`${file} can not teach this training: ${unfit}`);
    if (!encoder) throw new Error('a teacher needs the autoencoder, and these latents come without it: set endTarget to "derivative"');
    const method = trainingMethodOf(model);
    return { made: part[method](field, encoder, model), model, method, dispose: () => disposeModel(model) };
  } catch (error) {
    disposeModel(model);
    throw error;
  }
}
