export { adamW, ADAMW_DEFAULTS, type AdamWOptions } from "./adamw";
export { clipByGlobalNorm } from "./clip";
export { emaDecayAt, updateEma } from "./ema";
export { muon, MUON_DEFAULTS, orthogonalize, type MuonOptions } from "./muon";
export { learningRateAt, type ScheduleOptions } from "./schedule";
