import { nativeBackend, type Binding, type OperationAttribute, type TensorMetadata } from "./compile/backend";

/** What matrix products and convolutions compute with. */
export type Precision = "float32" | "bf16";

// TensorFlow's numbers for element types, and for an attribute that is a type.
const FLOAT32 = 1;
const BFLOAT16 = 14;
const TYPE_ATTRIBUTE = 4;

/** Operations whose factors are rounded, and the inputs that are factors. */
const FACTORS: Record<string, readonly number[]> = {
  MatMul: [0, 1],
  BatchMatMulV2: [0, 1],
  Conv2D: [0, 1],
  Conv2DBackpropInput: [1, 2],
  Conv2DBackpropFilter: [0, 2],
};

const typeAttribute = (name: string, value: number): OperationAttribute => ({ name, type: TYPE_ATTRIBUTE, value });

/**
 * Runs a function with the factors of its matrix products and convolutions, and of those of their gradients, in bfloat16 (8 bits of
 * precision, the range of float32). All that is stored, weights above all, and all other operations stay in float32. On another
 * engine than TensorFlow, and with "float32", the function simply runs.
 * @param fn a synchronous function of tensors
 */
export function withPrecision<Result>(precision: Precision, fn: () => Result): Result {
  const backend = precision === "bf16" ? nativeBackend() : undefined;
  if (!backend) return fn();
  const outer = backend.binding;
  backend.binding = roundingBinding(outer);
  try {
    return fn();
  } finally {
    backend.binding = outer;
  }
}

/** A binding that computes products in bfloat16 and hands all else on. */
function roundingBinding(outer: Binding): Binding {
  const convert = (id: number, from: number, to: number): TensorMetadata => outer.executeOp("Cast", [typeAttribute("SrcT", from), typeAttribute("DstT", to), { name: "Truncate", type: 3, value: false }], [id], 1)[0];
  const executeOp = (operation: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number): TensorMetadata[] => {
    const factors = FACTORS[operation];
    const isFloat = attributes.some(({ name, value }) => name === "T" && value === FLOAT32);
    if (!factors || !isFloat) return outer.executeOp(operation, attributes, inputIds, outputCount);
    const rounded = inputIds.map((id, position) => (factors.includes(position) ? convert(id, FLOAT32, BFLOAT16).id : id));
    const [product] = outer.executeOp(operation, attributes.map((attribute) => (attribute.name === "T" ? typeAttribute("T", BFLOAT16) : attribute)), rounded, outputCount);
    const result = convert(product.id, BFLOAT16, FLOAT32);
    for (const position of factors) outer.deleteTensor(rounded[position]);
    outer.deleteTensor(product.id);
    return [result];
  };
  return Object.create(outer, { executeOp: { value: executeOp } }) as Binding;
}
