import type { Binding, OperationAttribute, TensorMetadata } from "./backend";

/** Shape and element type of a tensor, and its content where it is a constant. */
export interface AbstractTensor {
  shape: readonly number[];
  dtype: number;
  /** A tensor that is there, with bytes that may decide the shapes of results (axes, sizes). */
  constant?: { id: number; bytes: Uint8Array };
}

const [FLOAT32, INT32, COMPLEX64, BOOL, BFLOAT16] = [1, 3, 8, 10, 14];
/** Constants up to this size count as shapes, axes and the like. */
const TELLING_BYTES = 256;

/** TensorFlow refuses an operation on made-up values. */
export class TrialError extends Error {
  override name = "TrialError";
}

/**
 * Finds what an operation gives, in shapes and element types alone: it runs once on made-up values, and what it gave is remembered for the next
 * operation of its kind. Shapes depend on nothing else, but on constants, which are as they are.
 */
export class Trials {
  private readonly results = new Map<string, Omit<TensorMetadata, "id">[]>();

  constructor(private readonly binding: Binding) {}

  /** @throws TrialError when TensorFlow refuses the operation on zeros and on ones */
  resultsOf(operation: string, attributes: OperationAttribute[], inputs: readonly AbstractTensor[], outputCount: number): readonly Omit<TensorMetadata, "id">[] {
    const key = JSON.stringify([operation, attributes, outputCount, inputs.map(({ shape, dtype, constant }) => [shape, dtype, constant && constant.bytes.length <= TELLING_BYTES ? Buffer.from(constant.bytes).toString("hex") : ""])]);
    let found = this.results.get(key);
    if (!found) this.results.set(key, (found = this.run(operation, attributes, inputs, outputCount)));
    return found;
  }

  private run(operation: string, attributes: OperationAttribute[], inputs: readonly AbstractTensor[], outputCount: number): Omit<TensorMetadata, "id">[] {
    const attempt = (value: 0 | 1): Omit<TensorMetadata, "id">[] => {
      const made: number[] = [];
      try {
        const ids = inputs.map((input) => {
          if (input.constant) return input.constant.id;
          const id = this.filled(input, value);
          made.push(id);
          return id;
        });
        const results = this.binding.executeOp(operation, attributes, ids, outputCount);
        for (const { id } of results) made.push(id);
        return results.map(({ shape, dtype }) => ({ shape, dtype }));
      } finally {
        for (const id of made) this.binding.deleteTensor(id);
      }
    };
    try {
      return attempt(0);
    } catch {
      // Divisions of whole numbers refuse zeros.
    }
    try {
      return attempt(1);
    } catch (error) {
      // The binding's own words around TensorFlow's message: a number and a line break.
      throw new TrialError(`${operation}: ${(error as Error).message.replace(/^Invalid TF_Status: \d+\s*Message: /, "")}`, { cause: error });
    }
  }

  private filled({ shape, dtype }: AbstractTensor, value: number): number {
    const size = shape.reduce((product, length) => product * length, 1);
    const create = (type: number, values: ArrayBufferView): number => this.binding.createTensor([...shape], type, values);
    switch (dtype) {
      case FLOAT32:
        return create(dtype, new Float32Array(size).fill(value));
      case INT32:
        return create(dtype, new Int32Array(size).fill(value));
      case BOOL:
        return create(dtype, new Uint8Array(size).fill(value));
      case COMPLEX64:
        return create(dtype, new Float32Array(2 * size).fill(value));
      case BFLOAT16: {
        const wide = create(FLOAT32, new Float32Array(size).fill(value));
        const [{ id }] = this.binding.executeOp("Cast", [{ name: "SrcT", type: 4, value: FLOAT32 }, { name: "DstT", type: 4, value: BFLOAT16 }, { name: "Truncate", type: 3, value: false }], [wide], 1);
        this.binding.deleteTensor(wide);
        return id;
      }
      default:
        throw new Error(`a tensor of TensorFlow's element type ${dtype} can not be made up`);
    }
  }
}
