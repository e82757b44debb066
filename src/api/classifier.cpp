#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>

#include "core/thread_pool.h"
#include "include/convoy/convoy.h"
#include "src/data/crops.h"
#include "src/data/views.h"
#include "src/infer/inference.h"

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

/// Of rows of logits (N,classes).
std::vector<float> softmax(std::vector<float> logits, int classes) {
  const auto width = static_cast<std::ptrdiff_t>(classes);
  for (auto row = logits.begin(); row != logits.end(); row += width) {
    const float largest = *std::max_element(row, row + width);
    double sum = 0;
    for (auto value = row; value != row + width; ++value) sum += std::exp(double{*value} - largest);
    for (auto value = row; value != row + width; ++value)
      *value = static_cast<float>(std::exp(double{*value} - largest) / sum);
  }
  return logits;
}

}  // namespace

struct Classifier::Parts {
  Parts(const std::filesystem::path& path, const ClassifierOptions& options)
      : readers(options.threads > 0 ? options.threads : default_threads()),
        model(load_trained_model(path, options.best, RankEnvironment::alone())),
        views(views_of(options.tta, model.config.data)),
        inference(model, device_of(options.device), options.batch, readers.threads()) {
    model.weights = {};  // the engine has them
  }

  const FeatureShape& shape() const { return model.graph.input(); }
  std::size_t image_bytes() const { return static_cast<std::size_t>(shape().count()); }

  void check_takes_pictures() const {
    if (shape().d == 1 && (shape().c == 1 || shape().c == 3)) return;
    fail("{}: takes {} (H,W,C), which no picture is", model.checkpoint.string(), to_string(shape()));
  }

  /// Where evaluation looks at a picture of this size.
  Box box(ImageSize size) const { return picture_view(model.config.data).box(size, {shape().h, shape().w}); }

  /// Resizes that part to the network's input, `pixels` (H,W,C).
  void cut(const ImageView& picture, const Box& part, std::uint8_t* pixels) const {
    write_shown(picture, part, {shape().h, shape().w}, shape().c, pixels);
  }

  void read(const std::filesystem::path& file, const View& view, std::uint8_t* pixels) const {
    PictureView shown = picture_view(model.config.data);
    shown.cut = view.cut;
    read_shown(file, shown, {shape().h, shape().w}, shape().c, pixels);
    if (view.mirrored) mirror(shape(), pixels);
  }

  /// Logits (count,classes) of images that `fill(index, pixels)` makes one by one, several threads at a time.
  template <class Fill>
  std::vector<float> logits(std::size_t count, const Fill& fill) {
    const auto batch = static_cast<std::size_t>(inference.batch());
    std::vector<float> all;
    for (std::size_t first = 0; first < count; first += batch) {
      const std::size_t some = std::min(batch, count - first);
      std::vector<std::uint8_t> images(some * image_bytes());
      readers.for_each(static_cast<std::int64_t>(some), [&](std::int64_t turn) {
        const auto i = static_cast<std::size_t>(turn);
        fill(first + i, images.data() + i * image_bytes());
      });
      const std::vector<float> part = inference.logits(images);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }

  std::vector<float> logits_of(std::span<const std::uint8_t> images) {
    if (images.size() % image_bytes() == 0) return inference.logits(images);
    fail("{} bytes are no whole number of images {} (H,W,C)", images.size(), to_string(shape()));
  }

  /// Logits of files; `errors` gets one text per file, empty where it was read.
  std::vector<float> logits_of_files(const std::vector<std::filesystem::path>& files,
                                     std::vector<std::string>& errors) {
    check_takes_pictures();
    errors.assign(files.size(), "");
    std::vector<float> mean;
    for (const View& view : views) {
      const std::vector<float> one = logits(files.size(), [&](std::size_t i, std::uint8_t* pixels) {
        try {
          read(files[i], view, pixels);
        } catch (const std::exception& error) {
          errors[i] = error.what();
        }
      });
      if (mean.empty()) mean.assign(one.size(), 0);
      for (std::size_t i = 0; i < one.size(); ++i) mean[i] += one[i] / static_cast<float>(views.size());
    }
    return mean;
  }

  std::span<const float> row(const std::vector<float>& logits, std::size_t i) const {
    const auto width = static_cast<std::size_t>(model.graph.classes());
    return std::span(logits).subspan(i * width, width);
  }

  ThreadPool readers;  ///< of pictures
  TrainedModel model;
  std::vector<View> views;  ///< of a file
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
  const std::vector<float> logits = parts_->logits_of(images);
  std::vector<std::vector<ClassScore>> answers(images.size() / parts_->image_bytes());
  for (std::size_t i = 0; i < answers.size(); ++i)
    answers[i] = likeliest(parts_->row(logits, i), class_names(), top);
  return answers;
}

std::vector<FileAnswer> Classifier::classify_files(const std::vector<std::filesystem::path>& files, int top) {
  std::vector<std::string> errors;
  const std::vector<float> logits = parts_->logits_of_files(files, errors);
  std::vector<FileAnswer> answers(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    answers[i].error = errors[i];
    if (errors[i].empty()) answers[i].scores = likeliest(parts_->row(logits, i), class_names(), top);
  }
  return answers;
}

std::vector<float> Classifier::probabilities(std::span<const std::uint8_t> images) {
  return softmax(parts_->logits_of(images), classes());
}

std::vector<float> Classifier::probabilities_resized(std::span<const std::uint8_t> images,
                                                     const ClassifierInput& size) {
  parts_->check_takes_pictures();
  if (size.depth != 1 || size.height < 1 || size.width < 1 || (size.channels != 1 && size.channels != 3))
    fail("images of {}x{}x{} (H,W,C): there must be 1 or 3 channels", size.height, size.width, size.channels);
  const std::size_t pixels = static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width);
  const std::size_t each = pixels * static_cast<std::size_t>(size.channels);
  if (images.size() % each != 0) fail("{} bytes are no whole number of images of {}", images.size(), each);
  const Box part = parts_->box({size.height, size.width});
  return softmax(parts_->logits(images.size() / each,
                                [&](std::size_t i, std::uint8_t* out) {
                                  const std::uint8_t* image = images.data() + i * each;
                                  if (size.channels == 3)
                                    return parts_->cut({size.height, size.width, image}, part, out);
                                  std::vector<std::uint8_t> colours(3 * pixels);
                                  for (std::size_t p = 0; p < colours.size(); ++p) colours[p] = image[p / 3];
                                  parts_->cut({size.height, size.width, colours.data()}, part, out);
                                }),
                 classes());
}

std::vector<float> Classifier::probabilities_of_files(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> errors;
  const std::vector<float> logits = parts_->logits_of_files(files, errors);
  for (const std::string& error : errors)
    if (!error.empty()) fail("{}", error);
  return softmax(logits, classes());
}

}  // namespace convoy
