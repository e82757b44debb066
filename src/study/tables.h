// The figures of a study as tables, for its page, for spreadsheets and for LaTeX.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/study/results.h"

namespace convoy {

struct StudyTable {
  std::string name;  ///< of its files
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

/// The engine that speed-ups are measured against: plain loops on one core, else the CPU with one thread,
/// else the first.
std::size_t sequential_engine(const Study& study, const StudyResults& results);

/// Speeds of a variant on 1, 2, 4, ... threads, ranks or GPUs.
struct ScalingCurve {
  std::size_t variant = 0;
  std::string what;                              ///< "threads", "ranks", "GPUs, fp16"
  std::vector<std::pair<int, double>> speedups;  ///< how many, and times the speed of one
  /// The serial fraction f that fits 1 / speedup = f + (1 - f) / n best (least squares): G. Amdahl, "Validity
  /// of the single processor approach to achieving large scale computing capabilities", AFIPS 1967.
  double serial_fraction() const;
};
/// What a speed-up on n says of the serial fraction: A. Karp, H. Flatt, "Measuring parallel processor
/// performance", Communications of the ACM 33(5), 1990.
double karp_flatt(int n, double speedup);
/// Those with two points or more, of one image batch whatever the number: strong scaling.
std::vector<ScalingCurve> scaling_curves(const Study& study, const StudyResults& results);

/// The calls of a step that take nine tenths of it, the longest first.
std::vector<StudyCall> longest_calls(const CallsResult& calls);
/// "forward", "backward", "optimizer and sums" or "batch" by a call's name.
std::string part_of_step(const StudyCall& call);

/// Of the last epochs of a variant's trainings.
struct Accuracy {
  int runs = 0;
  double mean = 0, deviation = 0;  ///< shares; the sample's standard deviation, 0 of one run
  double seconds = 0;              ///< mean over runs
};
std::optional<Accuracy> accuracy_of(const StudyResults& results, std::size_t variant);

/// All tables that have rows.
std::vector<StudyTable> tables_of(const Study& study, const StudyResults& results);
std::string to_csv(const StudyTable& table);
std::string to_latex(const StudyTable& table);

}  // namespace convoy
