export { oneStepImage, type Component, type LinearImage, type Oracle } from "./oracle";
export { gaussianOracle, GAUSSIAN_ORACLE_DEFAULTS, type GaussianOracleOptions } from "./gaussian";
export { mixtureOracle, MIXTURE_ORACLE_DEFAULTS, type MixtureOracleOptions } from "./mixture";
export { objectiveBias, BIAS_DEFAULTS, type BiasOptions, type ObjectiveBias } from "./bias";
export { scoreObjective, SCORE_DEFAULTS, type ObjectiveScore, type ObjectiveVariant, type ScoreOptions } from "./score";
