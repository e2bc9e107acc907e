// Lets a program ask TensorFlow what a session's run spends its time on.
//
// The binding runs its sessions without options and drops what TensorFlow would tell of a run. While the environment
// variable CROSSFLOW_RUN_METADATA names a file, each run is traced, and its RunMetadata (the time and thread of every
// operation, and the graph as TensorFlow's optimiser left it) takes that file's place. Without the variable nothing changes.
//
// This header is force-included before the source of the binding, which stays as its package ships it.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "tensorflow/c/c_api.h"

namespace crossflow {

inline void TracedSessionRun(TF_Session* session, const TF_Buffer* run_options, const TF_Output* inputs, TF_Tensor* const* input_values, int ninputs, const TF_Output* outputs,
                             TF_Tensor** output_values, int noutputs, const TF_Operation* const* target_opers, int ntargets, TF_Buffer* run_metadata, TF_Status* status) {
  const char* const path = std::getenv("CROSSFLOW_RUN_METADATA");
  if (path == nullptr || *path == '\0' || run_metadata != nullptr) {
    TF_SessionRun(session, run_options, inputs, input_values, ninputs, outputs, output_values, noutputs, target_opers, ntargets, run_metadata, status);
    return;
  }
  // RunOptions { trace_level: FULL_TRACE, output_partition_graphs: true } of tensorflow/core/protobuf/config.proto.
  constexpr unsigned char kTraced[] = {0x08, 0x03, 0x28, 0x01};
  TF_Buffer* const options = TF_NewBufferFromString(kTraced, sizeof(kTraced));
  TF_Buffer* const metadata = TF_NewBuffer();
  TF_SessionRun(session, options, inputs, input_values, ninputs, outputs, output_values, noutputs, target_opers, ntargets, metadata, status);
  if (TF_GetCode(status) == TF_OK) {
    std::FILE* const file = std::fopen(path, "wb");
    if (file != nullptr) {
      std::fwrite(metadata->data, 1, metadata->length, file);
      std::fclose(file);
    }
  }
  TF_DeleteBuffer(metadata);
  TF_DeleteBuffer(options);
}

}  // namespace crossflow
