// Checks the probes' kernels on random tensors, into memory full of NaN, against plain references.
//
//   probe_check            whole layers
//   probe_check small      a few images on a few blocks, for compute-sanitizer
#include <cstring>

#include "bench/probes/layer.cuh"

namespace convoy::probe {
namespace {

template <class V>
std::vector<V> to_host(const V* from, std::size_t count) {
  std::vector<V> to(count);
  check_cuda(cudaMemcpy(to.data(), from, count * sizeof(V), cudaMemcpyDeviceToHost));
  return to;
}
/// |out - reference| / |reference|; NaN where anything is.
template <class V>
double relative_error(const std::vector<V>& out, const std::vector<float>& reference) {
  double off = 0, size = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i], d = static_cast<double>(static_cast<float>(out[i])) - r;
    off += d * d, size += r * r;
  }
  return std::sqrt(off / size);
}

/// Counts what failed and says each error.
struct Report {
  int failed = 0;
  void operator()(const char* what, double error, double limit, bool repeats) {
    const bool good = error < limit && repeats;
    std::printf("  %-34s error %.2e (limit %.0e)%s %s\n", what, error, limit,
                repeats ? "" : ", other bits when repeated", good ? "ok" : "WRONG");
    std::fflush(stdout);
    failed += good ? 0 : 1;
  }
};

template <class L, class T>
void poison(const L& layer, T* y) {
  check_cuda(cudaMemset(y, 0xff, layer.count() * sizeof(T)));
  check_cuda(cudaMemset(layer.moments(), 0xff, std::size_t(layer.tiles()) * L::Channels * sizeof(float2)));
}

/// The worst relative error of a channel's sum of squares, and of its sum in units of the root of count times
/// that.
template <class T>
double moments_error(const std::vector<float2>& moments, const std::vector<T>& y, int channels) {
  std::vector<double> sum(channels), square(channels), sum_of(channels), square_of(channels);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double v = static_cast<float>(y[i]);
    sum_of[i % channels] += v, square_of[i % channels] += v * v;
  }
  for (std::size_t i = 0; i < moments.size(); ++i)
    sum[i % channels] += moments[i].x, square[i % channels] += moments[i].y;
  double worst = 0;
  const double count = static_cast<double>(y.size()) / channels;
  for (int c = 0; c < channels; ++c) {
    const double error = std::fabs(square[c] / square_of[c] - 1) +
                         std::fabs(sum[c] - sum_of[c]) / std::sqrt(count * square_of[c]);
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

template <Pass pass, class L, class T>
void check_convolution(const L& layer, const Tensors<T>& t, Report& report) {
  const T* source = pass == Pass::fprop ? t.x.get() : t.y.get();
  auto wanted = allocate_device<float>(layer.count());
  reference_kernel<T, pass><<<static_cast<unsigned>(layer.count() / 256), 256>>>(
      source, t.filters.get(), L::Side, L::Channels, wanted.get());
  check_launch();
  const auto reference = to_host(wanted.get(), layer.count());
  const double limit = std::is_same_v<T, __half> ? 5e-4 : 4e-3;
  // Into a tensor of its own: the next check needs the source and the gradient as they are.
  Tensors<T> into = layer.make_tensors(99);
  check_cuda(
      cudaMemcpy(into.filters.get(), t.filters.get(), L::filter_count * sizeof(T), cudaMemcpyDeviceToDevice));
  T* from = pass == Pass::fprop ? into.x.get() : into.y.get();
  T* to = pass == Pass::fprop ? into.y.get() : into.x.get();
  check_cuda(cudaMemcpy(from, source, layer.count() * sizeof(T), cudaMemcpyDeviceToDevice));
  for (const Variant variant : {Variant{1, false}, Variant{L::Channels == 64 ? 1 : 2, false},
                                Variant{L::Channels == 64 ? 1 : 2, true}}) {
    poison(layer, to);
    layer.template convolve<pass>(into, variant, nullptr);
    const auto y = to_host(to, layer.count());
    layer.template convolve<pass>(into, variant, nullptr);
    const auto again = to_host(to, layer.count());
    char what[64];
    std::snprintf(what, sizeof what, "%s, cluster %d%s", pass == Pass::fprop ? "fprop" : "dgrad",
                  variant.cluster, variant.moments ? ", moments" : "");
    report(what, relative_error(y, reference), limit,
           std::memcmp(y.data(), again.data(), y.size() * sizeof(T)) == 0);
    if (variant.moments)
      report(
          "  its moments",
          moments_error(to_host(layer.moments(), std::size_t(layer.tiles()) * L::Channels), y, L::Channels),
          1e-5, true);
  }
}

template <class L, class T>
void check_wgrad(const L& layer, const Tensors<T>& t, Report& report) {
  auto wanted = allocate_device<float>(L::filter_count);
  reference_wgrad_kernel<<<L::filter_count, 256>>>(t.x.get(), t.y.get(), layer.images(), L::Side, L::Channels,
                                                   wanted.get());
  check_launch();
  check_cuda(cudaMemset(t.dw.get(), 0xff, L::filter_count * sizeof(float)));
  layer.wgrad(t, true, nullptr);
  const auto dw = to_host(t.dw.get(), L::filter_count);
  layer.wgrad(t, true, nullptr);
  const auto again = to_host(t.dw.get(), L::filter_count);
  report("wgrad", relative_error(dw, to_host(wanted.get(), L::filter_count)), 1e-4,
         std::memcmp(dw.data(), again.data(), dw.size() * sizeof(float)) == 0);
}

template <class T, int Side, int Channels>
void check_layer(int images, int grid, Report& report) {
  std::printf("%s %d -> %d, %d images of %d x %d\n", std::is_same_v<T, __half> ? "fp16" : "bf16", Channels,
              Channels, images, Side, Side);
  const Layer<T, Side, Channels> layer(images, grid);
  const Tensors<T> t = layer.make_tensors(1);
  check_convolution<Pass::fprop>(layer, t, report);
  check_convolution<Pass::dgrad>(layer, t, report);
  check_wgrad(layer, t, report);
}

}  // namespace
}  // namespace convoy::probe

int main(int argc, char** argv) {
  using namespace convoy::probe;
  const bool small = argc > 1 && std::strcmp(argv[1], "small") == 0;
  Report report;
  try {
    check_layer<__half, 32, 64>(small ? 4 : 512, small ? 2 : 0, report);
    check_layer<__half, 16, 128>(small ? 8 : 512, small ? 2 : 0, report);
    check_layer<__half, 8, 256>(small ? 16 : 512, small ? 2 : 0, report);
    if (!small) check_layer<__nv_bfloat16, 16, 128>(256, 0, report);
  } catch (const std::exception& error) {
    std::printf("probe_check: %s\n", error.what());
    return 1;
  }
  std::printf("%d wrong\n", report.failed);
  return report.failed == 0 ? 0 : 1;
}
