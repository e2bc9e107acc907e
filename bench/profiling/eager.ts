import type { Binding, NativeBackend, OperationAttribute } from "../../src/model/engine/compile/backend";
import { attributesByName, operationFlops } from "./operation-flops";
import { stepPart } from "./step-part";

/** One operation that ran: what it computed, for how long, and in which part of the step. */
export interface TimedOperation {
  operation: string;
  part: string;
  inputs: readonly (readonly number[])[];
  outputs: readonly (readonly number[])[];
  milliseconds: number;
  flops: number;
}

/**
 * Runs a call on the native engine and times each operation that it dispatches. On the CPU an operation has finished when the binding returns, so
 * that the times are those of the operations, and what is missing from the call's wall time is JavaScript's.
 * @param parts false leaves the parts out, since finding them takes as long as a small operation
 */
export function timeOperations(backend: NativeBackend, call: () => void, parts = true): TimedOperation[] {
  const own = backend.binding;
  const operations: TimedOperation[] = [];
  const shapes = new Map<number, readonly number[]>();
  const overrides: Partial<Binding> = {
    createTensor(shape: number[], dtype: number, values: ArrayBufferView | Uint8Array[]) {
      const start = performance.now();
      const id = own.createTensor(shape, dtype, values);
      const milliseconds = performance.now() - start;
      shapes.set(id, [...shape]);
      operations.push({ operation: "(upload)", part: parts ? stepPart() : "", inputs: [], outputs: [[...shape]], milliseconds, flops: 0 });
      return id;
    },
    executeOp(operation: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number) {
      const start = performance.now();
      const results = own.executeOp(operation, attributes, inputIds, outputCount);
      const milliseconds = performance.now() - start;
      const inputs = inputIds.map((id) => shapes.get(id) ?? []);
      const outputs = results.map(({ id, shape }) => {
        shapes.set(id, [...shape]);
        return [...shape];
      });
      const flops = operationFlops(operation, inputs, outputs, attributesByName(attributes));
      operations.push({ operation, part: parts ? stepPart() : "", inputs, outputs, milliseconds, flops });
      return results;
    },
  };
  // Tensors made before the call are known by the shapes that the backend keeps.
  const getInputTensorIds = backend.getInputTensorIds;
  backend.getInputTensorIds = function (tensors) {
    const ids = getInputTensorIds.call(this, tensors);
    tensors.forEach((tensor, index) => {
      const shape = (tensor as { shape?: number[] }).shape;
      if (shape && ids.length === tensors.length) shapes.set(ids[index], shape);
    });
    return ids;
  };
  backend.binding = Object.create(own, Object.getOwnPropertyDescriptors(overrides)) as Binding;
  try {
    call();
  } finally {
    backend.binding = own;
    backend.getInputTensorIds = getInputTensorIds;
  }
  return operations;
}
