/** What of a training's configuration tells which networks its losses saw. */
export interface LossNetworks {
  losses?: Readonly<Record<string, number>>;
  perceptualNetwork?: string;
  /** "pixels", or the frozen network that the critic stands on. */
  criticNetwork?: string;
}

/**
 * The pretrained networks that a run's losses used. A distance in the features of one of them is no evidence: the generator was trained to make just
 * these features right, and may do so at the cost of all that the network does not see.
 * @param config the run's configuration, from its model's provenance
 */
export function networksOfLosses(config: LossNetworks): string[] {
  const weighs = (kind: string): boolean => Object.entries(config.losses ?? {}).some(([name, weight]) => name.startsWith(kind) && weight > 0);
  const networks = [weighs("perceptual") ? config.perceptualNetwork : undefined, weighs("adversarial") ? config.criticNetwork : undefined];
  return [...new Set(networks.filter((name): name is string => typeof name === "string" && name !== "" && name !== "pixels"))];
}

/** Whether a network's measures are independent of a training's losses. @param lossNetworks what networksOfLosses() gave */
export function isIndependent(network: string, lossNetworks: readonly string[]): boolean {
  return !lossNetworks.includes(network);
}
