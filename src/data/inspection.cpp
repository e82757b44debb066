#include "src/data/inspection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/reason.h"
#include "src/data/reading.h"

namespace convoy {
namespace {

/// Of one picture: either a problem, or the rest.
struct Finding {
  std::string problem;
  ImageFormat format{};
  ImageSize size;
  std::array<double, 3> mean{}, mean_square{};  ///< of values in [0, 1]
};

Finding inspect(const std::filesystem::path& path) {
  Finding finding;
  try {
    const std::vector<std::uint8_t> bytes = read_image_file(path);
    const Image image = decode_image(bytes, path.string());
    finding.format = image_format(bytes).value();
    finding.size = image.size();
    std::array<std::uint64_t, 3> sums{}, squares{};
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      const std::uint64_t value = image.pixels[i];
      sums[i % 3] += value;
      squares[i % 3] += value * value;
    }
    const auto pixels = static_cast<double>(image.pixels.size()) / 3;
    for (std::size_t c = 0; c < 3; ++c) {
      finding.mean[c] = static_cast<double>(sums[c]) / 255 / pixels;
      finding.mean_square[c] = static_cast<double>(squares[c]) / (255.0 * 255) / pixels;
    }
  } catch (const std::exception& error) {
    finding.problem = reason_of(error);
  }
  return finding;
}

}  // namespace

std::vector<std::int32_t> sample_evenly(const Dataset& data, std::size_t most) {
  std::vector<std::vector<std::int32_t>> classes(static_cast<std::size_t>(data.classes));
  for (const auto* part : {&data.train, &data.validation, &data.test})
    for (const std::int32_t sample : *part)
      classes[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(sample)])].push_back(sample);
  const std::size_t looked_at = std::min(classes.size(), most);
  const std::size_t of_each = looked_at == 0 ? 0 : most / looked_at;
  std::vector<std::int32_t> samples;
  for (std::size_t c = 0; c < looked_at; ++c) {
    const std::vector<std::int32_t>& members = classes[c * classes.size() / looked_at];
    const std::size_t count = std::min(members.size(), of_each);
    for (std::size_t i = 0; i < count; ++i) samples.push_back(members[i * members.size() / count]);
  }
  return samples;
}

std::vector<std::int32_t> samples_to_inspect(const Dataset& data) {
  constexpr std::size_t all_up_to = 512, sampled = 200;
  if (data.labels.size() > all_up_to) return sample_evenly(data, sampled);
  std::vector<std::int32_t> all;
  append_ids(all, 0, std::ssize(data.labels));
  return all;
}

PictureReport inspect_pictures(const Dataset& data, std::span<const std::int32_t> samples, int threads,
                               double seconds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::vector<std::optional<Finding>> findings(samples.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; (i = next++) < samples.size();) {
      if (seconds > 0 && std::chrono::duration<double>(Clock::now() - start).count() > seconds) return;
      if (const auto file = data.source ? data.source->file_of(samples[i]) : std::nullopt)
        findings[i] = inspect(*file);
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  PictureReport report;
  std::array<double, 3> squares{};
  for (const std::optional<Finding>& finding : findings) {
    if (!finding) continue;
    if (!finding->problem.empty()) {
      report.problems.push_back(finding->problem);
      continue;
    }
    ++report.formats[static_cast<std::size_t>(finding->format)];
    report.sizes.push_back(finding->size);
    for (std::size_t c = 0; c < 3; ++c) {
      report.mean[c] += finding->mean[c];
      squares[c] += finding->mean_square[c];
    }
  }
  const auto whole = static_cast<double>(std::max<std::size_t>(report.sizes.size(), 1));
  for (std::size_t c = 0; c < 3; ++c) {
    report.mean[c] /= whole;
    report.std[c] = std::sqrt(std::max(0.0, squares[c] / whole - report.mean[c] * report.mean[c]));
  }
  return report;
}

}  // namespace convoy
