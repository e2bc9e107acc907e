// The loops of fused-elementwise.cc, included once for each instruction set that the compiler shall use; no include guard
// therefore, and no include of its own. Everything here works on blocks that stay in the processor's first caches.

/** e^x without a branch, so that several run at a time: 2^n times a polynomial for the rest (Cody and Waite, 1980), within 2 units in the last place. */
inline float Exponential(float x) {
  x = x > 88.3762626647949f ? 88.3762626647949f : x;
  x = x < -87.3365447504019f ? -87.3365447504019f : x;
  const float shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23 rounds to the nearest whole number
  const float n = shifted - 12582912.0f;
  const float rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // log 2 in two parts
  float polynomial = 1.0f / 5040;
  polynomial = polynomial * rest + 1.0f / 720;
  polynomial = polynomial * rest + 1.0f / 120;
  polynomial = polynomial * rest + 1.0f / 24;
  polynomial = polynomial * rest + 1.0f / 6;
  polynomial = polynomial * rest + 0.5f;
  polynomial = polynomial * rest + 1.0f;
  polynomial = polynomial * rest + 1.0f;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  const int32_t power = static_cast<int32_t>(static_cast<uint32_t>(bits) << 23) + 0x3f800000;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return polynomial * scale;
}

// Operands may be the very block that is written, element by element, never a shifted one.
#if defined(__clang__)
#define CROSSFLOW_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define CROSSFLOW_LOOP _Pragma("GCC ivdep")
#endif
#define CROSSFLOW_EACH(expression)                                                \
  {                                                                               \
    CROSSFLOW_LOOP for (int64_t i = 0; i < count; ++i) result[i] = (expression);  \
    break;                                                                        \
  }

/** One operation on a block. */
void Elementwise(int operation, int64_t count, float* result, const float* a, const float* b) {
  switch (operation) {
    case kAdd: CROSSFLOW_EACH(a[i] + b[i])
    case kSub: CROSSFLOW_EACH(a[i] - b[i])
    case kMul: CROSSFLOW_EACH(a[i] * b[i])
    case kRealDiv: CROSSFLOW_EACH(a[i] / b[i])
    case kMaximum: CROSSFLOW_EACH(a[i] > b[i] || a[i] != a[i] ? a[i] : b[i])
    case kMinimum: CROSSFLOW_EACH(a[i] < b[i] || a[i] != a[i] ? a[i] : b[i])
    case kNeg: CROSSFLOW_EACH(-a[i])
    case kSquare: CROSSFLOW_EACH(a[i] * a[i])
    case kSqrt: CROSSFLOW_EACH(std::sqrt(a[i]))
    case kRsqrt: CROSSFLOW_EACH(1.0f / std::sqrt(a[i]))
    case kReciprocal: CROSSFLOW_EACH(1.0f / a[i])
    case kAbs: CROSSFLOW_EACH(std::fabs(a[i]))
    case kExp: CROSSFLOW_EACH(Exponential(a[i]))
    case kSigmoid: CROSSFLOW_EACH(1.0f / (1.0f + Exponential(-a[i])))
    case kCopy: CROSSFLOW_EACH(a[i])
  }
}

/** Sums of rows of `length` numbers, in eight partial sums. */
void RowSums(int64_t rows, int64_t length, float* result, const float* a) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* values = a + row * length;
    float sums[8] = {};
    int64_t i = 0;
    for (; i + 8 <= length; i += 8)
      for (int lane = 0; lane < 8; ++lane) sums[lane] += values[i + lane];
    float sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    for (; i < length; ++i) sum += values[i];
    result[row] = sum;
  }
}

/** One operation between rows of `length` numbers and one number a row. */
void WithRows(int operation, int64_t rows, int64_t length, float* block, const float* wide, const float* narrow, bool narrowFirst) {
  for (int64_t row = 0; row < rows; ++row) {
    float* result = block + row * length;
    const float* a = wide + row * length;
    const float b = narrow[row];
    const int64_t count = length;
    switch (operation) {
      case kAdd: CROSSFLOW_EACH(a[i] + b)
      case kMul: CROSSFLOW_EACH(a[i] * b)
      case kSub:
        if (narrowFirst) CROSSFLOW_EACH(b - a[i])
        CROSSFLOW_EACH(a[i] - b)
      case kRealDiv:
        if (narrowFirst) CROSSFLOW_EACH(b / a[i])
        CROSSFLOW_EACH(a[i] / b)
      case kCopy: CROSSFLOW_EACH(b)
    }
  }
}

#undef CROSSFLOW_EACH
#undef CROSSFLOW_LOOP
