// Makes TensorFlow keep to TF_CPP_MIN_LOG_LEVEL (0 all, 1 warnings and errors, 2 errors, 3 none but fatal ones).
//
// TensorFlow's log went over to Abseil, whose level nobody sets unless Python starts TensorFlow: without this, notes about
// its build appear on the error output of every program and below the first cell of every notebook.
//
// This header is force-included before the source of the binding, so that the level is set when the binding is loaded.
#pragma once

#include <cstdlib>

#include "absl/log/globals.h"

namespace crossflow {

inline bool SetLogLevelFromEnvironment() {
  const char* const level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level != nullptr) absl::SetMinLogLevel(static_cast<absl::LogSeverityAtLeast>(std::atoi(level)));
  return level != nullptr;
}

inline const bool log_level_is_set = SetLogLevelFromEnvironment();

}  // namespace crossflow
