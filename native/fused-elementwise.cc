// The TensorFlow operation "CrossflowElementwise": a small program of elementwise operations in one pass over memory.
//
// TensorFlow runs each addition, multiplication or sigmoid of a graph as an operation of its own, which reads and writes
// whole tensors. The step compiler joins neighbours into one of these (src/model/engine/compile/fuse.ts). The program works
// on blocks of a few thousand numbers, which stay in the processor's first caches from the first operation to the last; only
// what others read is written to memory. It may also sum rows, and combine rows with one number a row, as norms do.
//
// A program of n operations runs as n loops over each block, so it saves what memory costs, not what the loops cost.
//
// A program works on `size` numbers in rows of `length`. Its operands are, by number: the inputs, the constants, the
// outputs, then scratch blocks. Each holds one number a position ("full") or one a row.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

namespace crossflow {
namespace {

constexpr char kOperationName[] = "CrossflowElementwise";

// The order is that of OPERATIONS in fuse.ts.
enum Operation { kAdd, kSub, kMul, kRealDiv, kMaximum, kMinimum, kNeg, kSquare, kSqrt, kRsqrt, kReciprocal, kAbs, kExp, kSigmoid, kCopy, kRowSum };

namespace portable {
#include "elementwise-loops.h"
}

#if defined(__x86_64__)
#define CROSSFLOW_HAS_WIDE 1
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace wide {
#include "elementwise-loops.h"
}
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512vl,prefer-vector-width=512")
#endif
namespace widest {
#include "elementwise-loops.h"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

struct Loops {
  decltype(&portable::Elementwise) elementwise = portable::Elementwise;
  decltype(&portable::RowSums) rowSums = portable::RowSums;
  decltype(&portable::WithRows) withRows = portable::WithRows;
};

Loops BestLoops() {
  Loops loops;
#if defined(CROSSFLOW_HAS_WIDE)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) loops = {wide::Elementwise, wide::RowSums, wide::WithRows};
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) loops = {widest::Elementwise, widest::RowSums, widest::WithRows};
#endif
  return loops;
}

const Loops kLoops = BestLoops();

/** How an input is laid out. */
enum class Layout { kFull, kRow, kScalar, kStrided };

struct Input {
  Layout layout;
  std::vector<int64_t> dimensions;  // of the full shape, for strided inputs
  std::vector<int64_t> strides;     // 0 where the input repeats
};

/** Where an operand's numbers count: at each position, or once a row. */
enum class Space { kFull, kRow };

struct Instruction {
  int operation;
  Space space;  // of the result
  int result, a, b;
  Space aSpace, bSpace;
};

struct Output {
  Space space;
  std::vector<int64_t> shape;
};

struct Program {
  int64_t size = 0, length = 0, block = 0;
  int scratch = 0;
  std::vector<Input> inputs;
  std::vector<float> constants;
  std::vector<Output> outputs;
  std::vector<Instruction> instructions;
};

class StatusHolder {
 public:
  StatusHolder() : status_(TF_NewStatus()) {}
  ~StatusHolder() { TF_DeleteStatus(status_); }
  StatusHolder(const StatusHolder&) = delete;
  StatusHolder& operator=(const StatusHolder&) = delete;
  TF_Status* get() const { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }

 private:
  TF_Status* status_;
};

/** Reads a program from its attribute; numbers that point outside of it are refused. */
class Reader {
 public:
  explicit Reader(const std::vector<int64_t>& words) : words_(words) {}
  int64_t Next() {
    if (position_ >= words_.size()) {
      valid_ = false;
      return 0;
    }
    return words_[position_++];
  }
  int64_t NextBelow(int64_t limit) {
    const int64_t word = Next();
    if (word < 0 || word >= limit) {
      valid_ = false;
      return 0;
    }
    return word;
  }
  bool valid() const { return valid_ && position_ == words_.size(); }

 private:
  const std::vector<int64_t>& words_;
  size_t position_ = 0;
  bool valid_ = true;
};

constexpr int64_t kMaximumCount = 4096;         // of inputs, outputs, instructions, scratch blocks
constexpr int64_t kMaximumSize = int64_t{1} << 40;
constexpr int64_t kScratchFloats = 32 * 1024;   // of all blocks together: within the second cache
constexpr uintptr_t kCacheLine = 64;            // bytes
constexpr int64_t kSmallestBlock = 256, kLargestBlock = 4096;

bool ReadProgram(const std::vector<int64_t>& words, const std::vector<float>& constants, Program* program) {
  Reader reader(words);
  program->size = reader.NextBelow(kMaximumSize);
  program->length = std::max<int64_t>(reader.NextBelow(kMaximumSize), 1);
  program->scratch = static_cast<int>(reader.NextBelow(kMaximumCount));
  if (program->size % program->length != 0) return false;
  program->constants = constants;

  program->inputs.resize(reader.NextBelow(kMaximumCount));
  for (Input& input : program->inputs) {
    input.layout = static_cast<Layout>(reader.NextBelow(4));
    if (input.layout != Layout::kStrided) continue;
    const int64_t rank = reader.NextBelow(16);
    int64_t count = rank > 0 ? 1 : 0;
    for (int64_t axis = 0; axis < rank; ++axis) count *= input.dimensions.emplace_back(reader.NextBelow(kMaximumSize));
    if (count != program->size) return false;
    for (int64_t axis = 0; axis < rank; ++axis) input.strides.push_back(reader.NextBelow(kMaximumSize));
  }
  program->outputs.resize(reader.NextBelow(kMaximumCount));
  for (Output& output : program->outputs) {
    output.space = static_cast<Space>(reader.NextBelow(2));
    output.shape.resize(reader.NextBelow(16));
    int64_t count = 1;
    for (int64_t& dimension : output.shape) count *= dimension = reader.NextBelow(kMaximumSize);
    if (count != (output.space == Space::kFull ? program->size : program->size / program->length)) return false;
  }
  const int64_t operands = program->inputs.size() + program->constants.size() + program->outputs.size() + program->scratch;
  program->instructions.resize(reader.NextBelow(kMaximumCount));
  for (Instruction& instruction : program->instructions) {
    instruction.operation = static_cast<int>(reader.NextBelow(kRowSum + 1));
    instruction.space = static_cast<Space>(reader.NextBelow(2));
    instruction.result = static_cast<int>(reader.NextBelow(operands));
    instruction.a = static_cast<int>(reader.NextBelow(operands));
    instruction.aSpace = static_cast<Space>(reader.NextBelow(2));
    instruction.b = static_cast<int>(reader.NextBelow(operands));
    instruction.bSpace = static_cast<Space>(reader.NextBelow(2));
    if (instruction.result < static_cast<int>(program->inputs.size() + program->constants.size())) return false;
  }
  if (!reader.valid()) return false;
  // What holds a block: scratch, constants, and inputs that repeat.
  int64_t blocks = program->scratch + static_cast<int64_t>(program->constants.size());
  for (const Input& input : program->inputs) blocks += input.layout == Layout::kScalar || input.layout == Layout::kStrided;
  int64_t block = std::clamp(kScratchFloats / std::max<int64_t>(blocks, 1), kSmallestBlock, kLargestBlock);
  block = std::max<int64_t>(block / program->length, 1) * program->length;
  program->block = std::min(block, std::max<int64_t>(program->size, 1));
  return true;
}

/** Copies the numbers of a repeating input that belong to positions `start` to `end`. */
void Spread(const Input& input, const float* data, int64_t start, int64_t end, float* result) {
  const int rank = static_cast<int>(input.dimensions.size());
  int64_t index[16] = {};
  int64_t offset = 0;
  for (int64_t axis = rank - 1, rest = start; axis >= 0; --axis) {
    index[axis] = rest % input.dimensions[axis];
    rest /= input.dimensions[axis];
    offset += index[axis] * input.strides[axis];
  }
  const int64_t inner = input.dimensions[rank - 1], step = input.strides[rank - 1];
  for (int64_t position = start; position < end;) {
    const int64_t run = std::min(inner - index[rank - 1], end - position);
    if (step == 0) {
      std::fill_n(result, run, data[offset]);
    } else {
      std::memcpy(result, data + offset, run * sizeof(float));
    }
    result += run;
    position += run;
    offset -= index[rank - 1] * step;  // to the first number of its innermost axis
    index[rank - 1] = 0;
    for (int axis = rank - 2; axis >= 0; --axis) {
      offset += input.strides[axis];
      if (++index[axis] < input.dimensions[axis]) break;
      offset -= input.strides[axis] * input.dimensions[axis];
      index[axis] = 0;
    }
  }
}

/** What one call of a program reads and writes. */
struct Call {
  const Program* program;
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  std::atomic<int64_t> next{0};
};

/** Takes blocks of a call until none is left. */
void RunBlocks(Call* call) {
  const Program& program = *call->program;
  const int inputs = static_cast<int>(program.inputs.size()), constants = static_cast<int>(program.constants.size()), outputs = static_cast<int>(program.outputs.size());
  int64_t start = call->next.fetch_add(program.block);
  if (start >= program.size) return;
  static thread_local std::vector<float> memory;
  static thread_local std::vector<float*> operands;
  const size_t wanted = static_cast<size_t>(program.block) * (program.scratch + constants + inputs) + kCacheLine / sizeof(float);
  if (memory.size() < wanted) memory.resize(wanted);
  operands.assign(inputs + constants + outputs + program.scratch, nullptr);
  float* free = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory.data()) + kCacheLine - 1) / kCacheLine * kCacheLine);
  const auto takeBlock = [&] { return std::exchange(free, free + program.block); };
  for (int i = 0; i < inputs; ++i) {
    const Layout layout = program.inputs[i].layout;
    if (layout == Layout::kScalar) std::fill_n(operands[i] = takeBlock(), program.block, *call->inputs[i]);
    if (layout == Layout::kStrided) operands[i] = takeBlock();
  }
  for (int i = 0; i < constants; ++i) std::fill_n(operands[inputs + i] = takeBlock(), program.block, program.constants[i]);
  for (int i = 0; i < program.scratch; ++i) operands[inputs + constants + outputs + i] = takeBlock();

  for (; start < program.size; start = call->next.fetch_add(program.block)) {
    const int64_t end = std::min(start + program.block, program.size);
    const int64_t count = end - start, firstRow = start / program.length, rows = count / program.length;
    for (int i = 0; i < inputs; ++i) {
      const Input& input = program.inputs[i];
      if (input.layout == Layout::kFull) operands[i] = const_cast<float*>(call->inputs[i]) + start;
      if (input.layout == Layout::kRow) operands[i] = const_cast<float*>(call->inputs[i]) + firstRow;
      if (input.layout == Layout::kStrided) Spread(input, call->inputs[i], start, end, operands[i]);
    }
    for (int i = 0; i < outputs; ++i) operands[inputs + constants + i] = call->outputs[i] + (program.outputs[i].space == Space::kFull ? start : firstRow);
    for (const Instruction& step : program.instructions) {
      float* const result = operands[step.result];
      const float* const a = operands[step.a];
      const float* const b = operands[step.b];
      if (step.operation == kRowSum) {
        kLoops.rowSums(rows, program.length, result, a);
      } else if (step.space == Space::kRow) {
        kLoops.elementwise(step.operation, rows, result, a, b);
      } else if (step.aSpace == step.bSpace && step.aSpace == Space::kFull) {
        kLoops.elementwise(step.operation, count, result, a, b);
      } else if (step.aSpace == Space::kRow) {
        kLoops.withRows(step.operation, rows, program.length, result, b, a, true);
      } else {
        kLoops.withRows(step.operation, rows, program.length, result, a, b, false);
      }
    }
  }
}

/**
 * Threads that help with large calls, as many as TensorFlow has for one operation less the calling one. They wait for work; a
 * helper that wakes too late finds none left, and nobody waits for it.
 */
class Helpers {
 public:
  /** Runs a call here, and with what helpers are free. */
  void Run(Call* call, bool large) {
    if (!large || count_ == 0 || !busy_.try_lock()) return RunBlocks(call);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!started_) Start();
      call_ = call;
      ++generation_;
    }
    wake_.notify_all();
    RunBlocks(call);
    {
      std::unique_lock<std::mutex> lock(mutex_);
      call_ = nullptr;
      idle_.wait(lock, [this] { return working_ == 0; });
    }
    busy_.unlock();
  }

 private:
  static int WantedThreads() {
    const char* const given = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int threads = given ? std::atoi(given) : 0;
    return threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
  }

  void Start() {
    started_ = true;
    for (int i = 0; i < count_; ++i) std::thread([this] { Work(); }).detach();
  }

  [[noreturn]] void Work() {
    uint64_t seen = 0;
    for (;;) {
      Call* call;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return call_ != nullptr && generation_ != seen; });
        seen = generation_;
        call = call_;
        ++working_;
      }
      RunBlocks(call);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--working_ == 0) idle_.notify_one();
    }
  }

  const int count_ = std::max(WantedThreads() - 1, 0);
  std::mutex busy_, mutex_;
  std::condition_variable wake_, idle_;
  Call* call_ = nullptr;
  uint64_t generation_ = 0;
  int working_ = 0;
  bool started_ = false;
};

// Never destroyed: its threads live until the process ends.
Helpers& SharedHelpers() {
  static Helpers* const helpers = new Helpers;
  return *helpers;
}

constexpr int64_t kLargeWork = 1 << 18;  // numbers times instructions from which a second thread pays

void Fail(TF_OpKernelContext* context, const std::string& message) {
  const StatusHolder status;
  TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, message.c_str());
  TF_OpKernelContext_Failure(context, status.get());
}

int64_t InputSize(const Program& program, const Input& input) {
  switch (input.layout) {
    case Layout::kFull:
      return program.size;
    case Layout::kRow:
      return program.size / program.length;
    case Layout::kScalar:
      return 1;
    default: {
      int64_t last = 0;
      for (size_t axis = 0; axis < input.dimensions.size(); ++axis) last += std::max<int64_t>(input.dimensions[axis] - 1, 0) * input.strides[axis];
      return last + 1;
    }
  }
}

void* CreateKernel(TF_OpKernelConstruction* construction) {
  const StatusHolder status;
  const auto fail = [&](const char* message) -> void* {
    if (message) TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, message);
    TF_OpKernelConstruction_Failure(construction, status.get());
    return nullptr;
  };
  int32_t words = 0, numbers = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "program", &words, &bytes, status.get());
  if (!status.ok()) return fail(nullptr);
  TF_OpKernelConstruction_GetAttrSize(construction, "constants", &numbers, &bytes, status.get());
  if (!status.ok()) return fail(nullptr);
  std::vector<int64_t> program(words);
  std::vector<float> constants(numbers);
  TF_OpKernelConstruction_GetAttrInt64List(construction, "program", program.data(), words, status.get());
  if (!status.ok()) return fail(nullptr);
  TF_OpKernelConstruction_GetAttrFloatList(construction, "constants", constants.data(), numbers, status.get());
  if (!status.ok()) return fail(nullptr);
  auto* const kernel = new Program;
  if (ReadProgram(program, constants, kernel)) return kernel;
  delete kernel;
  return fail("the attribute \"program\" of CrossflowElementwise is broken");
}

void DeleteKernel(void* kernel) { delete static_cast<Program*>(kernel); }

void ComputeKernel(void* kernel, TF_OpKernelContext* context) {
  if (kernel == nullptr) return;
  const Program& program = *static_cast<Program*>(kernel);
  const StatusHolder status;
  Call call;
  call.program = &program;
  std::vector<TF_Tensor*> tensors;
  const auto release = [&] { for (TF_Tensor* tensor : tensors) TF_DeleteTensor(tensor); };
  if (TF_NumInputs(context) != static_cast<int>(program.inputs.size()) || TF_NumOutputs(context) != static_cast<int>(program.outputs.size())) return Fail(context, "CrossflowElementwise: its program has another number of inputs or outputs");
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context, static_cast<int>(i), &tensor, status.get());
    if (!status.ok()) {
      TF_OpKernelContext_Failure(context, status.get());
      return release();
    }
    tensors.push_back(tensor);
    if (TF_TensorElementCount(tensor) != InputSize(program, program.inputs[i])) {
      Fail(context, "CrossflowElementwise: input " + std::to_string(i) + " has " + std::to_string(TF_TensorElementCount(tensor)) + " numbers, not " + std::to_string(InputSize(program, program.inputs[i])));
      return release();
    }
    call.inputs.push_back(static_cast<const float*>(TF_TensorData(tensor)));
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const Output& output = program.outputs[i];
    const int64_t count = output.space == Space::kFull ? program.size : program.size / program.length;
    TF_Tensor* const tensor = TF_AllocateOutput(context, static_cast<int>(i), TF_FLOAT, output.shape.data(), static_cast<int>(output.shape.size()), count * sizeof(float), status.get());
    if (!status.ok()) {
      TF_OpKernelContext_Failure(context, status.get());
      return release();
    }
    tensors.push_back(tensor);
    call.outputs.push_back(static_cast<float*>(TF_TensorData(tensor)));
  }
  const bool large = program.size > program.block && program.size * static_cast<int64_t>(program.instructions.size()) >= kLargeWork;
  SharedHelpers().Run(&call, large);
  release();
}

/** Makes the operation known to TensorFlow when the binding is loaded. */
const bool kRegistered = [] {
  const StatusHolder status;
  TF_OpDefinitionBuilder* const operation = TF_NewOpDefinitionBuilder(kOperationName);
  TF_OpDefinitionBuilderAddAttr(operation, "N: int >= 0");
  TF_OpDefinitionBuilderAddAttr(operation, "M: int >= 1");
  TF_OpDefinitionBuilderAddAttr(operation, "program: list(int)");
  TF_OpDefinitionBuilderAddAttr(operation, "constants: list(float)");
  TF_OpDefinitionBuilderAddInput(operation, "inputs: N * float");
  TF_OpDefinitionBuilderAddOutput(operation, "outputs: M * float");
  // The shapes are in the program, which this interface can not read here.
  TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, [](TF_ShapeInferenceContext* context, TF_Status* outcome) { TF_ShapeInferenceContextSetUnknownShape(context, outcome); });
  TF_RegisterOpDefinition(operation, status.get());
  if (!status.ok()) return false;
  TF_KernelBuilder* const kernel = TF_NewKernelBuilder(kOperationName, "CPU", CreateKernel, ComputeKernel, DeleteKernel);
  TF_RegisterKernelBuilder(kOperationName, kernel, status.get());
  return status.ok();
}();

}  // namespace
}  // namespace crossflow
