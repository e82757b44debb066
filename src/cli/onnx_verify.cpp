#include "src/cli/onnx_verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/log.h"
#include "src/cli/onnx_runtime.h"
#include "src/data/crops.h"
#include "src/infer/inference.h"

namespace convoy {
namespace {

constexpr int batch = 32;

using Bytes = std::vector<std::uint8_t>;

/// Shows validation images to both, one after the other.
class Show {
 public:
  Show(const TrainedModel& trained, const std::filesystem::path& model, bool raw_input, const Dataset& data)
      : shape_(trained.graph.input()),
        view_(picture_view(trained.config.data)),
        raw_input_(raw_input),
        data_(data),
        program_(trained, Device::cpu, batch),
        other_(model) {}

  Agreement compare(const std::vector<std::string>& classes) {
    for (const std::int32_t sample : data_.validation) {
      try {
        show(sample);
      } catch (const Error& error) {
        log_warn("{}; left out", error.what());
      }
      if (pixels_.size() == static_cast<std::size_t>(batch * shape_.count())) answer();
    }
    answer();
    return compare_answers(logits_, other_.answers(), names_, classes);
  }

 private:
  /// Throws Error for a picture that cannot be read, before anybody has seen it.
  void show(std::int32_t sample) {
    Bytes shown(static_cast<std::size_t>(shape_.count()));
    const ImageSize out{shape_.h, shape_.w};
    const auto stored = data_.source ? data_.source->picture_of(sample) : std::nullopt;
    const auto file = data_.source ? data_.source->file_of(sample) : std::nullopt;
    if (file)
      read_shown(*file, view_, out, shape_.c, shown.data());
    else if (stored)
      write_shown(*stored, view_.box(stored->size(), out), out, shape_.c, shown.data());
    else
      fetch_image(data_, sample, {}, shown.data());

    if (file && !raw_input_)
      other_.ask(*file);
    else if (stored && !raw_input_)
      other_.ask(stored->pixels, {stored->height, stored->width, 3});
    else
      other_.ask(shown, network_shape());
    pixels_.insert(pixels_.end(), shown.begin(), shown.end());
    names_.push_back(data_.source ? data_.source->name_of(sample) : fmt::format("image {}", sample));
  }
  std::vector<int> network_shape() const {
    if (shape_.d == 1) return {shape_.h, shape_.w, shape_.c};
    return {shape_.d, shape_.h, shape_.w, shape_.c};
  }

  void answer() {
    const std::vector<float> some = program_.logits(pixels_);
    logits_.insert(logits_.end(), some.begin(), some.end());
    pixels_.clear();
  }

  const FeatureShape shape_;
  const PictureView view_;
  const bool raw_input_;
  const Dataset& data_;
  Inference program_;
  OnnxRuntime other_;
  Bytes pixels_;               ///< of those the program has not answered yet
  std::vector<float> logits_;  ///< the program's
  std::vector<std::string> names_;
};

}  // namespace

Agreement compare_answers(const std::vector<float>& program, const std::vector<float>& other,
                          const std::vector<std::string>& names, const std::vector<std::string>& classes) {
  check(!names.empty() && program.size() % names.size() == 0, "logits of so many images");
  if (other.size() != program.size())
    fail("cannot verify: onnxruntime gave {} logits where there are {}", other.size(), program.size());
  const std::size_t width = program.size() / names.size();
  const auto name_of = [&](std::ptrdiff_t label) {
    const auto i = static_cast<std::size_t>(label);
    return i < classes.size() ? classes[i] : std::to_string(label);
  };
  Agreement agreement;
  for (std::size_t i = 0; i < names.size(); ++i, ++agreement.images) {
    const float *mine = program.data() + i * width, *theirs = other.data() + i * width;
    for (std::size_t c = 0; c < width; ++c) {
      agreement.reach = std::max(agreement.reach, std::abs(double{mine[c]}));
      double difference = std::abs(double{mine[c]} - theirs[c]);
      if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
      if (difference <= agreement.largest) continue;
      agreement.largest = difference;
      agreement.worst = names[i];
    }
    const auto my_class = std::max_element(mine, mine + width) - mine;
    const auto their_class = std::max_element(theirs, theirs + width) - theirs;
    const bool same = my_class == their_class, close = double{mine[my_class]} - mine[their_class] < tie;
    if (same || close) ++agreement.agreeing;
    if (!same && close) ++agreement.ties;
    constexpr std::size_t shown = 5;
    if (!same && !close && agreement.others.size() < shown)
      agreement.others.push_back(
          fmt::format("{}: {} here, {} by onnxruntime", names[i], name_of(my_class), name_of(their_class)));
  }
  return agreement;
}

Agreement verify_onnx(const TrainedModel& trained, const std::filesystem::path& model, bool raw_input,
                      const Dataset& data) {
  const FeatureShape& shape = trained.graph.input();
  if (!(data.image == shape))
    fail("cannot verify: the data set's images are {} (H,W,C), the network takes {}", to_string(data.image),
         to_string(shape));
  return Show(trained, model, raw_input, data).compare(trained.class_names);
}

}  // namespace convoy
