export { cosineRamp, defineRamp, fadeRamp, linearRamp, lossShareAt, rampNamed, rampNames, warmUpRamp, type LossSchedule, type Ramp } from "./ramps";
export { defineTimeSampler, drawTimes, logitNormalTimes, timeSamplerNamed, timeSamplerNames, uniformTimes, type TimeSampler, type TimeSamplerOptions } from "./time-samplers";
