// The addon that Node loads on Linux: it loads the TensorFlow binding next to it with the error output closed.
//
// TensorFlow's libraries write a note about oneDNN while they are being loaded, before they look at
// TF_CPP_MIN_LOG_LEVEL: without this it would appear on the error output of every program. The output is closed for the
// loading alone, and only where that variable asks for quiet; what goes wrong then is thrown as an error.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace {

constexpr char kBinding[] = "tensorflow_binding.node";

/** Sends what is written to the error output to nowhere while it lives. */
class ErrorOutputClosed {
 public:
  explicit ErrorOutputClosed(bool wanted) {
    if (!wanted) return;
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0) return;
    saved_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (saved_ >= 0) dup2(nowhere, STDERR_FILENO);
    close(nowhere);
  }
  ~ErrorOutputClosed() {
    if (saved_ < 0) return;
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  ErrorOutputClosed(const ErrorOutputClosed&) = delete;
  ErrorOutputClosed& operator=(const ErrorOutputClosed&) = delete;

 private:
  int saved_ = -1;
};

bool QuietIsWanted() {
  const char* const level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  return level != nullptr && std::atoi(level) > 0;
}

std::string OwnFolder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&OwnFolder), &info) == 0) return "";
  const std::string path = info.dli_fname;
  return path.substr(0, path.find_last_of('/') + 1);
}

void* LoadBinding() {
  const ErrorOutputClosed closed(QuietIsWanted());
  return dlopen((OwnFolder() + kBinding).c_str(), RTLD_NOW | RTLD_LOCAL);
}

}  // namespace

NAPI_MODULE_INIT() {
  void* const binding = LoadBinding();
  void* const entry = binding == nullptr ? nullptr : dlsym(binding, "napi_register_module_v1");
  if (entry == nullptr) {
    napi_throw_error(env, nullptr, dlerror());
    return nullptr;
  }
  return reinterpret_cast<napi_addon_register_func>(entry)(env, exports);
}
