// The processes that a study is made of, each with the file that says that it is done.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/study/child.h"
#include "src/study/study.h"

namespace convoy {

/// One process of a study.
struct StudyCell {
  enum class Kind {
    truth,  ///< losses of the first steps by plain loops in double precision
    gate,   ///< the same losses by an engine
    speed,  ///< a round of whole steps
    calls,  ///< every call of a step by itself
    run,    ///< a training
  } kind = Kind::speed;
  std::size_t variant = 0;
  std::size_t engine = 0;  ///< of `truth`: none
  int number = 0;          ///< of speeds the round, of trainings the seed
  std::string title;       ///< "speed of lenet on cpu, 2 threads, round 1 of 3"
  ChildCommand command;
  std::filesystem::path result;  ///< a file, of trainings the run's folder
  std::filesystem::path log;
  std::filesystem::path config;  ///< a file that the command reads and that is written first; empty: none
  std::string config_text;
};

/// Where a study is kept, and the program that its processes run.
struct StudyPlace {
  std::filesystem::path folder, program;
};

/// Why this machine cannot run an engine; empty: it can. PyTorch is asked for by starting it.
std::string what_lacks(const StudyEngine& engine, const StudyPlace& place);

StudyCell truth_cell(const Study& study, const StudyPlace& place, std::size_t variant);
StudyCell gate_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine);
StudyCell speed_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine,
                     int round);
StudyCell calls_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine);
StudyCell run_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine,
                   int seed);

/// Whether its result is there, from now or from before.
bool is_done(const StudyCell& cell);

}  // namespace convoy
