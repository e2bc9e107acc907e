// Keeps signals away from TensorFlow.
//
// The float32 matrix kernels of oneDNN, as built into TensorFlow, are not safe against a signal that arrives while they
// run: the process aborts (oneDNN issue 4845). Profilers and job schedulers send such signals all the time. While one of
// the calls below runs, the calling thread lets none through except those that a fault in the code itself raises; they
// are delivered when the call returns. Threads that TensorFlow starts inside these calls inherit the mask for good.
//
// This header is force-included before the source of the binding, which stays as its package ships it.
#pragma once

#include <pthread.h>
#include <signal.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

#include "traced-runs.h"

namespace crossflow {

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    constexpr int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (const int fault : faults) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &previous_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t previous_;
};

template <auto Function, typename... Arguments>
auto WithSignalsBlocked(Arguments... arguments) {
  const SignalsBlocked blocked;
  return Function(arguments...);
}

}  // namespace crossflow

#define TFE_NewContext(...) ::crossflow::WithSignalsBlocked<&::TFE_NewContext>(__VA_ARGS__)
#define TFE_Execute(...) ::crossflow::WithSignalsBlocked<&::TFE_Execute>(__VA_ARGS__)
#define TF_LoadSessionFromSavedModel(...) ::crossflow::WithSignalsBlocked<&::TF_LoadSessionFromSavedModel>(__VA_ARGS__)
#define TF_SessionRun(...) ::crossflow::WithSignalsBlocked<&::crossflow::TracedSessionRun>(__VA_ARGS__)
