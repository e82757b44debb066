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
                repeats ? "" : ", other bits than the first run", good ? "ok" : "WRONG");
    std::fflush(stdout);
    failed += good ? 0 : 1;
  }
};

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
void check_convolution(const L& layer, const Tensors<T>& t, const std::vector<Variant>& variants,
                       Report& report) {
  constexpr bool forward = pass == Pass::fprop;
  const std::size_t count = forward ? layer.y_count() : layer.x_count();
  T* result = forward ? t.y.get() : t.x.get();
  const auto kept = to_host(result, count);  // the source of the checks that follow
  auto wanted = allocate_device<float>(count);
  const auto reference_of = [&](Variant variant) {
    reference_kernel<T, pass><<<static_cast<unsigned>(count / 256), 256>>>(
        forward ? t.x.get() : t.y.get(), t.filters.get(), layer.shape(),
        variant.normalise ? layer.coefficients() : nullptr, variant.residual ? t.residual.get() : nullptr,
        wanted.get());
    check_launch();
    return to_host(wanted.get(), count);
  };
  const auto plain = reference_of({});
  const auto run = [&](Variant variant) {
    check_cuda(cudaMemset(result, 0xff, count * sizeof(T)));
    check_cuda(cudaMemset(layer.moments(), 0xff, layer.moment_count() * sizeof(float2)));
    if (forward)
      layer.fprop(t, variant, nullptr);
    else
      layer.dgrad(t, variant, nullptr);
    return to_host(result, count);
  };
  const auto first = run({});  // moments change no bits
  for (const Variant variant : variants) {
    const bool fused = variant.normalise || variant.residual;
    const auto y = run(variant), again = fused ? run(variant) : first;
    char what[96];
    std::snprintf(what, sizeof what, "%s%s%s%s", forward ? "fprop" : "dgrad",
                  variant.normalise ? ", normalise" : "", variant.residual ? ", residual" : "",
                  variant.moments ? ", moments" : "");
    report(what, relative_error(y, fused ? reference_of(variant) : plain),
           std::is_same_v<T, __half> ? 5e-4 : 4e-3,
           std::memcmp(y.data(), again.data(), count * sizeof(T)) == 0);
    if (variant.moments) {
      const int channels = forward ? layer.shape().filters : layer.shape().channels;
      report("  its moments", moments_error(to_host(layer.moments(), layer.moment_count()), y, channels),
             1e-5, true);
    }
  }
  check_cuda(cudaMemcpy(result, kept.data(), count * sizeof(T), cudaMemcpyHostToDevice));
}

template <class L, class T>
void check_wgrad(const L& layer, const Tensors<T>& t, Report& report) {
  auto wanted = allocate_device<float>(L::filter_count);
  reference_wgrad_kernel<<<L::filter_count, 256>>>(t.x.get(), t.y.get(), layer.shape(), wanted.get());
  check_launch();
  const auto run = [&] {
    check_cuda(cudaMemset(t.dw.get(), 0xff, L::filter_count * sizeof(float)));
    layer.wgrad(t, true, nullptr);
    return to_host(t.dw.get(), L::filter_count);
  };
  const auto dw = run(), again = run();
  report("wgrad", relative_error(dw, to_host(wanted.get(), L::filter_count)), 1e-4,
         std::memcmp(dw.data(), again.data(), dw.size() * sizeof(float)) == 0);
}

template <class T, int Side, int Channels, int Filters = Channels, int Stride = 1>
void check_layer(int images, int grid, Report& report) {
  using L = Layer<T, Side, Channels, Filters, Stride>;
  std::printf("%s %d -> %d, %d images, result %d x %d, stride %d\n",
              std::is_same_v<T, __half> ? "fp16" : "bf16", Channels, Filters, images, Side, Side, Stride);
  const L layer(images, grid);
  const Tensors<T> t = layer.make_tensors(1);
  const Variant plain, moments{.moments = true};
  std::vector<Variant> variants{plain, moments};
  if (L::resident)
    variants.insert(variants.end(),
                    {{.residual = true}, {.normalise = true}, {.moments = true, .normalise = true}});
  check_convolution<Pass::fprop>(layer, t, variants, report);
  variants = {plain, moments};
  if (Stride != 1) variants = {plain};
  if (L::has_dgrad) check_convolution<Pass::dgrad>(layer, t, variants, report);
  if constexpr (L::has_wgrad) check_wgrad(layer, t, report);
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
    check_layer<__half, 16, 64, 128, 2>(small ? 8 : 512, small ? 2 : 0, report);
    check_layer<__half, 8, 128, 256, 2>(small ? 16 : 512, small ? 2 : 0, report);
    if (!small) check_layer<__nv_bfloat16, 16, 128>(256, 0, report);
  } catch (const std::exception& error) {
    std::printf("probe_check: %s\n", error.what());
    return 1;
  }
  std::printf("%d wrong\n", report.failed);
  return report.failed == 0 ? 0 : 1;
}
