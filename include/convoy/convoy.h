// libconvoy: networks that Convoy trained, used in programs of your own.
//
//   convoy::Classifier classifier("runs/flowers");
//   for (const convoy::FileAnswer& answer : classifier.classify_files({"a.jpg", "b.png"}))
//     std::cout << answer.scores.at(0).name << "\n";
//
// With CMake: find_package(convoy REQUIRED), target_link_libraries(your_program PRIVATE convoy::convoy).
// Errors are std::runtime_error, whose what() is one sentence for people: which file, what is wrong with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#define CONVOY_API __attribute__((visibility("default")))

namespace convoy {

struct ClassifierOptions {
  std::string device = "auto";  ///< auto (a GPU where there is one), cpu or cuda
  bool best = false;            ///< of a run, not the newest checkpoint but the one with the best validation
  int batch = 32;               ///< images that are computed at once, at most
  int threads = 0;              ///< on the CPU, at most; 0: one per core that this process may use
  /// Test-time augmentation of files: the mean of the logits of several views. "none", "flip" (as it is and
  /// mirrored) or "five_crop" (corners and middle of the resized picture).
  std::string tta = "none";
};

/// What a network takes. Of images, depth is 1.
struct ClassifierInput {
  int depth = 1, height = 0, width = 0, channels = 0;
};

struct ClassScore {
  int label = 0;           ///< from 0
  std::string name;        ///< of the class; its label where the checkpoint has no names
  double probability = 0;  ///< softmax of the scores
};

struct FileAnswer {
  std::string error;               ///< why there is no answer; else empty
  std::vector<ClassScore> scores;  ///< the likeliest first
};

/// A network with the weights of a checkpoint, ready to answer. Not for several threads at a time; on the CPU
/// it takes all cores that the network is large enough for (OMP_NUM_THREADS says fewer) and computes in fp32.
class CONVOY_API Classifier {
 public:
  /// `path`: a run's folder (its newest good checkpoint) or a checkpoint. Throws when there is none, it is
  /// damaged, or the device cannot be used.
  explicit Classifier(const std::filesystem::path& path, const ClassifierOptions& options = {});
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  const std::filesystem::path& checkpoint() const;
  ClassifierInput input() const;
  int classes() const;
  /// In the order of labels; empty where the checkpoint does not know.
  const std::vector<std::string>& class_names() const;
  /// For people: "cpu, 8 threads, avx512".
  std::string device() const;

  /// `images`: bytes (N,D,H,W,C) as the training data had them, of any number N; they are normalised here.
  /// The `top` likeliest classes of each. Throws when `images` is no whole number of them.
  std::vector<std::vector<ClassScore>> classify(std::span<const std::uint8_t> images, int top = 5);

  /// Files of JPEG, PNG, WebP, BMP and TIFF of any size: the shorter side is resized and the middle cut out,
  /// as in evaluation; colours become gray, and gray ones colours, as the network takes them. One answer per
  /// file, in their order. Throws when the network takes no such images (volumes, or neither 1 nor 3
  /// channels).
  std::vector<FileAnswer> classify_files(const std::vector<std::filesystem::path>& files, int top = 5);

  /// The softmax of all scores, (N,classes), of images as `classify` takes them.
  std::vector<float> probabilities(std::span<const std::uint8_t> images);
  /// The same of images of any one size (N,height,width,channels) with depth 1 and 1 or 3 channels, which are
  /// resized and cut as files are.
  std::vector<float> probabilities_resized(std::span<const std::uint8_t> images, const ClassifierInput& size);
  /// The same of files, (files,classes). Throws what is wrong with the first that cannot be read.
  std::vector<float> probabilities_of_files(const std::vector<std::filesystem::path>& files);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace convoy
