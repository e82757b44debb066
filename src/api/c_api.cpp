// The C functions over Classifier: no exception leaves them.
#include "include/convoy/c_api.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "include/convoy/convoy.h"

struct convoy_classifier {
  explicit convoy_classifier(convoy::Classifier made)
      : classifier(std::move(made)),
        checkpoint(classifier.checkpoint().string()),
        device(classifier.device()) {
    for (int label = 0; label < classifier.classes(); ++label) {
      const auto& names = classifier.class_names();
      const auto index = static_cast<std::size_t>(label);
      class_names.push_back(index < names.size() && !names[index].empty() ? names[index]
                                                                          : std::to_string(label));
    }
  }

  convoy::Classifier classifier;
  std::string checkpoint, device;
  std::vector<std::string> class_names;
};

namespace {

void write_message(const std::string& text, char* message, std::size_t capacity) {
  if (message == nullptr || capacity == 0) return;
  const std::size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(message, text.data(), length);
  message[length] = '\0';
}

/// What `work` returns; `failed` and a message where it throws.
template <class Result, class Work>
Result guarded(char* message, std::size_t capacity, Result failed, const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    write_message(error.what(), message, capacity);
  } catch (...) {
    write_message("unknown error", message, capacity);
  }
  return failed;
}

/// Copies the probabilities that `compute` returns.
template <class Compute>
int predict(float* probabilities, char* message, std::size_t capacity, const Compute& compute) {
  return guarded(message, capacity, -1, [&] {
    const std::vector<float> values = compute();
    std::copy(values.begin(), values.end(), probabilities);
    return 0;
  });
}

std::span<const std::uint8_t> bytes(const std::uint8_t* images, std::int64_t count, std::int64_t each) {
  return {images, static_cast<std::size_t>(count * each)};
}

}  // namespace

convoy_classifier* convoy_open(const char* path, const char* device, int best, int batch, int threads,
                               char* message, size_t capacity) {
  return guarded(message, capacity, static_cast<convoy_classifier*>(nullptr), [&] {
    const convoy::ClassifierOptions options{device, best != 0, batch, threads, "none"};
    return std::make_unique<convoy_classifier>(convoy::Classifier(path, options)).release();
  });
}

void convoy_close(convoy_classifier* classifier) {
  const std::unique_ptr<convoy_classifier> owner(classifier);
}

const char* convoy_checkpoint(const convoy_classifier* classifier) {
  return classifier->checkpoint.c_str();
}

const char* convoy_device(const convoy_classifier* classifier) {
  return classifier->device.c_str();
}

int convoy_classes(const convoy_classifier* classifier) {
  return classifier->classifier.classes();
}

const char* convoy_class_name(const convoy_classifier* classifier, int label) {
  if (label < 0 || label >= convoy_classes(classifier)) return nullptr;
  return classifier->class_names[static_cast<std::size_t>(label)].c_str();
}

void convoy_input(const convoy_classifier* classifier, int shape[4]) {
  const convoy::ClassifierInput input = classifier->classifier.input();
  shape[0] = input.depth;
  shape[1] = input.height;
  shape[2] = input.width;
  shape[3] = input.channels;
}

int convoy_predict(convoy_classifier* classifier, const uint8_t* images, int64_t count, float* probabilities,
                   char* message, size_t capacity) {
  return predict(probabilities, message, capacity, [&] {
    const convoy::ClassifierInput input = classifier->classifier.input();
    const std::int64_t each = std::int64_t{input.depth} * input.height * input.width * input.channels;
    return classifier->classifier.probabilities(bytes(images, count, each));
  });
}

int convoy_predict_resized(convoy_classifier* classifier, const uint8_t* images, int64_t count, int height,
                           int width, int channels, float* probabilities, char* message, size_t capacity) {
  return predict(probabilities, message, capacity, [&] {
    const std::int64_t each = std::int64_t{height} * width * channels;
    return classifier->classifier.probabilities_resized(bytes(images, count, each),
                                                        {1, height, width, channels});
  });
}

int convoy_predict_files(convoy_classifier* classifier, const char* const* files, int64_t count,
                         float* probabilities, char* message, size_t capacity) {
  return predict(probabilities, message, capacity, [&] {
    const std::vector<std::filesystem::path> paths(files, files + count);
    return classifier->classifier.probabilities_of_files(paths);
  });
}
