// Whether an exported model answers as the program does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/data/dataset.h"
#include "src/infer/trained_model.h"

namespace convoy {

/// The result of a comparison of answers.
struct Agreement {
  std::int64_t images = 0, agreeing = 0;
  std::int64_t ties = 0;  ///< of those that agree: other classes, which the program finds almost as likely
  double largest = 0;     ///< difference of a logit
  double reach = 0;       ///< the largest of the program's logits, without its sign
  std::string worst;      ///< the image that has it
  std::vector<std::string> others;  ///< the first few that disagree, for people

  bool good() const { return 1000 * agreeing >= 999 * images; }
};

/// Two classes are a tie where their logits differ by less: probabilities within 10 % of each other.
inline constexpr double tie = 0.1;

/// Compares logits (images,classes) of both; `names` are the images', `classes` what classes are called, if
/// they are called anything.
Agreement compare_answers(const std::vector<float>& program, const std::vector<float>& other,
                          const std::vector<std::string>& names, const std::vector<std::string>& classes);

/// Has the program, in fp32 on the CPU, and onnxruntime with the file `model` answer the validation images of
/// `data`: pictures in their own size, decoded by each for itself, or with `raw_input` what the network
/// takes. Throws Error where they cannot.
Agreement verify_onnx(const TrainedModel& trained, const std::filesystem::path& model, bool raw_input,
                      const Dataset& data);

}  // namespace convoy
