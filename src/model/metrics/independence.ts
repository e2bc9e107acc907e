/** Critics that learn from pixels, and stand on no network: "pixels" judges the image and its patches, "local" places alone. */
export const PIXEL_CRITICS: readonly string[] = ["pixels", "local"];

/** What of a training's configuration tells which networks its losses saw. */
export interface LossNetworks {
  losses?: Readonly<Record<string, number>>;
  perceptualNetwork?: string;
  /** One of PIXEL_CRITICS, or the frozen network that the critic stands on. */
  criticNetwork?: string;
}

/**
 * The pretrained networks that a run's losses used. A distance in the features of one of them is no evidence: the generator was trained to make just
 * these features right, and may do so at the cost of all that the network does not see.
 * @param config the run's configuration
 * @param earlier networks of the trainings that the run went on from
 */
export function networksOfLosses(config: LossNetworks, earlier: readonly string[] = []): string[] {
  const weighs = (kind: string): boolean => Object.entries(config.losses ?? {}).some(([name, weight]) => name.startsWith(kind) && weight > 0);
  const networks = [...earlier, weighs("perceptual") ? config.perceptualNetwork : undefined, weighs("adversarial") ? config.criticNetwork : undefined];
  return [...new Set(networks.filter((name): name is string => typeof name === "string" && name !== "" && !PIXEL_CRITICS.includes(name)))];
}

/** The networks that the losses of a model's training used, and those of the trainings that it went on from. */
export function lossNetworksOf({ provenance }: { provenance: Record<string, unknown> }): string[] {
  const earlier = Array.isArray(provenance.lossNetworks) ? (provenance.lossNetworks as string[]) : [];
  return networksOfLosses((provenance.config ?? {}) as LossNetworks, earlier);
}

/** Whether a network's measures are independent of a training's losses. @param lossNetworks what networksOfLosses() gave */
export function isIndependent(network: string, lossNetworks: readonly string[]): boolean {
  return !lossNetworks.includes(network);
}

/** The words by which a value is marked that was measured in a network which a loss used. */
export const NOT_INDEPENDENT = "not independent" as const;

/** A value as it is shown: marked where it isn't independent. @param value the number as text */
export function markedValue(value: string, independent: boolean): string {
  return independent ? value : `${value} (${NOT_INDEPENDENT})`;
}

/** One sentence that explains the mark, for below a table or a picture; undefined where no loss used a network. */
export function independenceNote(lossNetworks: readonly string[]): string | undefined {
  return lossNetworks.length === 0 ? undefined : `A loss learned from ${lossNetworks.join(" and ")}: what is measured there is ${NOT_INDEPENDENT}, and does not judge this training.`;
}
