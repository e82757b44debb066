// What a profiler sees of a program's NVTX ranges: loaded by NVTX itself where NVTX_INJECTION64_PATH names
// this library. Writes a line for each begin ("push NAME") and end ("pop") to the file that CONVOY_RANGES
// names, "THREAD push NAME" with threads numbered from 0 as they come.
#include <nvtx3/nvToolsExt.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>

namespace {

class Recorder {
 public:
  Recorder() {
    if (const char* path = std::getenv("CONVOY_RANGES")) file_.open(path);
  }
  void line(const char* what, const char* name) {
    static thread_local const int thread = threads_++;
    const std::scoped_lock lock(mutex_);
    file_ << thread << ' ' << what << ' ' << name << std::endl;  // kept, however the program ends
  }

 private:
  std::mutex mutex_;
  std::ofstream file_;
  std::atomic<int> threads_ = 0;
};

Recorder& recorder() {
  static Recorder one;
  return one;
}

int push(const char* name) {
  recorder().line("push", name);
  return 0;
}

int pop() {
  recorder().line("pop", "");
  return 0;
}

template <class Function>
void subscribe(NvtxFunctionTable table, unsigned size, unsigned callback, Function function) {
  if (callback < size) *table[callback] = reinterpret_cast<NvtxFunctionPointer>(function);
}

}  // namespace

// Called once, before the first range; 0 would tell NVTX that nobody looks on.
extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    NvtxGetExportTableFunc_t tables) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(tables(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr || callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0)
    return 0;
  subscribe(table, size, NVTX_CBID_CORE_RangePushA, push);
  subscribe(table, size, NVTX_CBID_CORE_RangePop, pop);
  return 1;
}
