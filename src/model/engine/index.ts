// The engine: what computes with tensors, and what can be done to functions of tensors.
export { compile, CompileError, type Compiled, type CompileOptions, type StaticArguments } from "./compile";
export { defineJvpRule, jvp, type JvpOptions, type JvpRule, type KernelCall } from "./jvp";
export { describeEngine, startEngine, type EngineDescription, type EngineName, type EngineOptions } from "./start";
export { tf } from "./tf";
