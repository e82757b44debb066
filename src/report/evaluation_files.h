// An Evaluation for people and for other programs. Names of classes are foreign text: `names` has one for
// each class, or less; a class without one is called by its number.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/report/evaluation.h"

namespace convoy {

std::string name_of_class(const std::vector<std::string>& names, int label);

/// What was evaluated.
struct EvaluationSource {
  std::string part;     ///< "validation" or "test"
  std::string weights;  ///< a checkpoint's name, or "after epoch 3"
  double loss = 0;      ///< mean over the images
};

/// An object, a class and a row of the confusion matrix per line. What is absent or not finite is null.
std::string evaluation_json(const Evaluation& evaluation, const EvaluationSource& source,
                            const std::vector<std::string>& names);
/// `label,class,support,answers,correct,precision,recall,f1`, a row per class. What is absent is empty.
std::string evaluation_csv(const Evaluation& evaluation, const std::vector<std::string>& names);
/// The confusion matrix: a row per label, a column per answer, both with names.
std::string confusion_csv(const Evaluation& evaluation, const std::vector<std::string>& names);

/// For a terminal: the figures, a row per class (of more than 50 classes, the 20 with the lowest F1), and the
/// confusion matrix of up to 20 classes.
std::string evaluation_table(const Evaluation& evaluation, const std::vector<std::string>& names);

/// `evaluation.json`, `evaluation.csv` and `confusion.csv` in a run's folder. Throws Error.
void write_evaluation(const std::filesystem::path& folder, const Evaluation& evaluation,
                      const EvaluationSource& source, const std::vector<std::string>& names);

}  // namespace convoy
