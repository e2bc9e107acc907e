export { adamW, ADAMW_DEFAULTS, type AdamWOptions } from "./adamw";
export { clipByGlobalNorm } from "./clip";
export { AVERAGE_KINDS, emaDecayAt, LARGEST_SPREAD, powerDecayAt, powerOfSpread, spreadOfPower, updateEma, type AverageOptions } from "./ema";
export { muon, muonTogether, MUON_DEFAULTS, orthogonalize, type MuonOptions, type MuonUpdate } from "./muon";
export { postHocCoefficients, SNAPSHOT_SPREADS, type PostHocAverage, type PowerProfile } from "./post-hoc";
export { learningRateAt, type ScheduleOptions } from "./schedule";
