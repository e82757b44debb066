#include "src/engine/device_cuda.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "kernels/cuda_step_state.h"

namespace convoy {
namespace {

/// Before the first CUDA call. A kernel is loaded when first used, here under stream capture, which drivers
/// allow from CUDA 12.3 on; an older one loads everything at start, which takes seconds.
int count_devices(cudaError_t& status) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver < 12030)
    setenv("CUDA_MODULE_LOADING", "EAGER", 1);
  int count = 0;
  status = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());  // so that an unrelated check does not report it again
  return status == cudaSuccess ? count : 0;
}

std::string version_of(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

/// Throws an error that names the chip and says what to do.
[[noreturn]] void fail_without_code(int device, const std::string& why) {
  cudaDeviceProp chip{};
  check_cuda(cudaGetDeviceProperties(&chip, device));
  int driver = 0;
  check_cuda(cudaDriverGetVersion(&driver));
  const int number = 10 * chip.major + chip.minor;
  fail(
      "{}: this program has no code for it ({}). The chip is sm_{}, the driver is for CUDA {}, the program "
      "was built with CUDA {}. Build with -DCMAKE_CUDA_ARCHITECTURES={}{}-real, or install a newer release",
      chip.name, why, number, version_of(driver), version_of(CUDART_VERSION), number,
      number == 90 ? "a" : "");
}

/// Throws unless this rank has a device that can run this binary; makes it current.
int select_device(const RankEnvironment& ranks) {
  cudaError_t status = cudaSuccess;
  const int count = count_devices(status);
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0;
    check_cuda(cudaDriverGetVersion(&driver));
    if (driver == 0) fail("no NVIDIA driver on host {}", ranks.host());
    fail(
        "the NVIDIA driver on host {} is for CUDA {}, but this program was built with CUDA {}. Update the "
        "driver, or use a program that was built with an older toolkit (12.2 or newer)",
        ranks.host(), version_of(driver), version_of(CUDART_VERSION));
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    fail("no CUDA device on host {}", ranks.host());
  }
  check_cuda(status);
  if (ranks.local_size() > count) {
    fail(
        "{} ranks on host {} but it has {} CUDA device{} (one rank per device; CUDA_VISIBLE_DEVICES hides "
        "devices)",
        ranks.local_size(), ranks.host(), count, count == 1 ? "" : "s");
  }
  const int device = ranks.local_rank();
  check_cuda(cudaSetDevice(device));
  check_cuda(
      cudaFree(nullptr));  // creates the context now: fails if the device is broken or in exclusive use

  status = probe_machine_code();
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    fail_without_code(device, "no machine code, and no PTX that the driver could compile");
  }
  if (status == cudaErrorUnsupportedPtxVersion || status == cudaErrorJitCompilerNotFound)
    fail_without_code(device, "no machine code, and the driver is too old to compile the PTX");
  check_cuda(status);
  return device;
}

/// A step waits for the main stream, so it has a higher priority than the side stream.
/// Collectives have the highest.
CudaStream make_stream(StreamRole role) {
  int lowest = 0, highest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
  const int main = std::max(highest, lowest - 1);  // a higher priority is a lower number
  cudaStream_t stream = nullptr;
  check_cuda(
      cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, role == StreamRole::main ? main : lowest));
  return CudaStream(stream);
}

}  // namespace

GpuStream::GpuStream(StreamRole role) : stream(make_stream(role)) {}

RankDevice::RankDevice(const RankEnvironment& ranks)
    : number(select_device(ranks)),
      state(allocate_device<StepState>(1)),
      main(StreamRole::main),
      side(StreamRole::side) {}

std::string describe_device(int device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device));
  const double gib = static_cast<double>(properties.totalGlobalMem) / (1 << 30);
  return fmt::format("{}, {:.0f} GiB, compute capability {}.{}", properties.name, gib, properties.major,
                     properties.minor);
}

DeviceIdentity identity_of_device(int device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device));
  DeviceIdentity identity;
  identity.uuid = "GPU";
  for (std::size_t i = 0; i < sizeof properties.uuid.bytes; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) identity.uuid += '-';
    identity.uuid += fmt::format("{:02x}", static_cast<unsigned char>(properties.uuid.bytes[i]));
  }
  std::array<char, 32> address{};
  check_cuda(cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device));
  identity.pci_address = address.data();
  int runtime = 0, driver = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime));
  check_cuda(cudaDriverGetVersion(&driver));
  identity.versions = fmt::format("CUDA {}, driver for CUDA {}", version_of(runtime), version_of(driver));
  return identity;
}

int cuda_device_count() {
  cudaError_t status = cudaSuccess;
  return count_devices(status);
}

}  // namespace convoy
