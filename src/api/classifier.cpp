#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>

#include "include/convoy/convoy.h"
#include "src/data/crops.h"
#include "src/train/inference.h"
#include "src/train/thread_limit.h"

namespace convoy {
namespace {

Device device_of(const std::string& name) {
  if (name == "auto") return Device::automatic;
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  fail_usage("device {}: there are auto, cpu and cuda", name);
}

/// The `top` likeliest of a row of logits (classes).
std::vector<ClassScore> likeliest(std::span<const float> logits, const std::vector<std::string>& names,
                                  int top) {
  std::vector<int> labels(logits.size());
  std::iota(labels.begin(), labels.end(), 0);
  const auto count = static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(top, 0, labels.size()));
  const auto logit = [&](int label) { return double{logits[static_cast<std::size_t>(label)]}; };
  std::partial_sort(labels.begin(), labels.begin() + count, labels.end(),
                    [&](int a, int b) { return logit(a) > logit(b) || (logit(a) == logit(b) && a < b); });
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float value : logits) sum += std::exp(value - largest);
  std::vector<ClassScore> scores;
  for (const int label : std::span(labels).first(static_cast<std::size_t>(count))) {
    const std::string name = names.empty() ? std::string() : names[static_cast<std::size_t>(label)];
    scores.push_back(
        {label, name.empty() ? std::to_string(label) : name, std::exp(logit(label) - largest) / sum});
  }
  return scores;
}

}  // namespace

struct Classifier::Parts {
  Parts(const std::filesystem::path& path, const ClassifierOptions& options)
      : threads(options.threads > 0 ? options.threads : omp_get_num_procs()),
        model(load(path, options.best, threads)),
        inference(model, device_of(options.device), options.batch, threads) {
    model.weights = {};  // the engine has them
  }

  static TrainedModel load(const std::filesystem::path& path, bool best, int threads) {
    const ThreadLimit limit(threads);
    return load_trained_model(path, best, RankEnvironment::alone());
  }

  const FeatureShape& shape() const { return model.graph.input(); }

  /// Reads a picture as evaluation sees it into `pixels` (H,W,C).
  void read(const std::filesystem::path& file, std::uint8_t* pixels) const {
    const ImageSize out{shape().h, shape().w};
    const DataConfig& data = model.config.data;
    const int shorter = is_streamed(data.source) ? shorter_side(data) : std::max(out.height, out.width);
    const std::vector<std::uint8_t> bytes = read_image_file(file);
    const ImagePart part = decode_part(
        bytes, file.string(), [&](ImageSize size) { return centre_box(size, shorter, out); }, out);
    if (shape().c == 3) return resize(part.image, part.box, out, pixels);
    const Image small = resized(part.image, part.box, out);
    to_gray(small.pixels.data(), shape().pixels(), pixels);
  }

  const int threads;
  TrainedModel model;
  Inference inference;
};

Classifier::Classifier(const std::filesystem::path& path, const ClassifierOptions& options)
    : parts_(std::make_unique<Parts>(path, options)) {}
Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

const std::filesystem::path& Classifier::checkpoint() const {
  return parts_->model.checkpoint;
}

ClassifierInput Classifier::input() const {
  const FeatureShape& shape = parts_->shape();
  return {shape.d, shape.h, shape.w, shape.c};
}

int Classifier::classes() const {
  return parts_->model.graph.classes();
}

const std::vector<std::string>& Classifier::class_names() const {
  return parts_->model.class_names;
}

std::string Classifier::device() const {
  return parts_->inference.device();
}

std::vector<std::vector<ClassScore>> Classifier::classify(std::span<const std::uint8_t> images, int top) {
  const auto size = static_cast<std::size_t>(parts_->shape().count());
  if (images.size() % size != 0) {
    fail("{} bytes are no whole number of images {} (H,W,C)", images.size(), to_string(parts_->shape()));
  }
  const std::vector<float> logits = parts_->inference.logits(images);
  const auto width = static_cast<std::size_t>(classes());
  std::vector<std::vector<ClassScore>> answers;
  for (std::size_t first = 0; first < logits.size(); first += width)
    answers.push_back(likeliest(std::span(logits).subspan(first, width), class_names(), top));
  return answers;
}

std::vector<FileAnswer> Classifier::classify_files(const std::vector<std::filesystem::path>& files, int top) {
  const FeatureShape& shape = parts_->shape();
  if (shape.d != 1 || (shape.c != 1 && shape.c != 3))
    fail("{}: takes {} (H,W,C), which no JPEG or PNG holds", checkpoint().string(), to_string(shape));
  const auto size = static_cast<std::size_t>(shape.count());
  const auto batch = static_cast<std::size_t>(parts_->inference.batch());
  std::vector<FileAnswer> answers(files.size());
  for (std::size_t first = 0; first < files.size(); first += batch) {
    const std::size_t count = std::min(batch, files.size() - first);
    std::vector<std::uint8_t> images(count * size);
    const ThreadLimit limit(parts_->threads);
#pragma omp parallel for schedule(dynamic) if (count > 1)
    for (std::size_t i = 0; i < count; ++i) {
      try {
        parts_->read(files[first + i], images.data() + i * size);
      } catch (const std::exception& error) {
        answers[first + i].error = error.what();
      }
    }
    std::vector<std::vector<ClassScore>> scores = classify(images, top);
    for (std::size_t i = 0; i < count; ++i) {
      if (answers[first + i].error.empty()) answers[first + i].scores = std::move(scores[i]);
    }
  }
  return answers;
}

}  // namespace convoy
