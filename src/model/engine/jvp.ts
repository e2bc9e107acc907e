import { jvpRules } from "./jvp-rules";
import { defineJvpRule } from "./jvp-rules/registry";

for (const [kernelName, rule] of Object.entries(jvpRules)) defineJvpRule(kernelName, rule);

export { jvp, type JvpOptions, type Tangents, type TensorTree } from "./forward-mode";
export { defineJvpRule, jvpRule, kernelsWithJvpRule, type JvpRule, type KernelCall } from "./jvp-rules/registry";
