#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "core/log.h"
#include "core/thread_pool.h"
#include "include/convoy/convoy.h"
#include "src/cli/commands.h"
#include "src/cli/name_list.h"
#include "src/cli/output.h"
#include "src/data/picture_files.h"
#include "src/io/csv.h"
#include "src/io/image_format.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// What is to be answered.
struct Asked {
  std::vector<fs::path> files;
  std::size_t folders_failed = 0;  ///< that cannot be read, or hold no picture; each was named
};

/// The pictures of a folder, as training finds them; of other files it warns.
void add_folder(const fs::path& folder, Asked& asked) {
  const FoundPictures found = find_pictures(folder);
  for (const std::string& name : found.files) asked.files.push_back(folder / name);
  for (const std::string& problem : found.unreadable) log_error("{}", problem);
  asked.folders_failed += found.unreadable.size();
  if (!found.others.empty()) log_warn("{}", found.others.text());
  if (!found.files.empty() || !found.unreadable.empty()) return;
  log_error("{}: no {} file there", folder.string(), picture_endings);
  ++asked.folders_failed;
}

Asked files_of(const PredictArguments& arguments) {
  std::error_code ignored;
  if (has_picture_ending(arguments.path) && fs::is_regular_file(arguments.path, ignored))
    fail("{}: a picture, where a run or checkpoint should be; write convoy predict RUN IMAGE",
         arguments.path);
  Asked asked;
  const auto add = [&](const std::string& name) {
    if (fs::is_directory(name, ignored))
      add_folder(name, asked);
    else
      asked.files.emplace_back(name);
  };
  for (const std::string& name : arguments.images) {
    if (name == "-")
      for (const std::string& listed : read_names(std::cin, "standard input")) add(listed);
    else
      add(name);
  }
  if (asked.files.empty() && asked.folders_failed == 0) fail("no images named on standard input");
  return asked;
}

/// For a single image, the cores that nobody else keeps busy: on others, threads would wait for each other
/// much longer than they help. 0, all, for several images, or where OMP_NUM_THREADS says how many.
int threads_for(std::size_t images) {
  double busy = 0;
  if (images > 1 || std::getenv("OMP_NUM_THREADS") != nullptr || getloadavg(&busy, 1) != 1) return 0;
  return std::max(1, static_cast<int>(default_threads() - busy));
}

std::string as_json(const fs::path& file, const FileAnswer& answer) {
  nlohmann::ordered_json line = {{"file", file.string()}};
  if (!answer.error.empty()) line["error"] = answer.error;
  for (const ClassScore& score : answer.scores)
    line["top"].push_back(
        {{"class", score.name}, {"label", score.label}, {"probability", score.probability}});
  return to_json_line(line) + "\n";
}

std::string as_csv(const fs::path& file, const FileAnswer& answer) {
  std::string lines;
  for (std::size_t i = 0; i < answer.scores.size(); ++i) {
    const ClassScore& score = answer.scores[i];
    lines += fmt::format("{},{},{},{},{:.6g}\n", csv_field(file.string()), i + 1, score.label,
                         csv_field(score.name), score.probability);
  }
  return lines;
}

std::string as_text(const fs::path& file, const FileAnswer& answer) {
  if (!answer.error.empty()) return {};
  std::string line = printable(file.string()) + ":";
  for (const ClassScore& score : answer.scores)
    line += format_printable("  {} {:.1f} %", score.name, 100 * score.probability);
  return line + "\n";
}

}  // namespace

int run(const CommandContext& context, const PredictArguments& arguments) {
  if (!context.ranks.is_root()) return static_cast<int>(ExitCode::done);
  const Asked asked = files_of(arguments);
  const std::vector<fs::path>& files = asked.files;
  if (files.empty()) return static_cast<int>(ExitCode::failure);
  const int batch = static_cast<int>(std::min<std::size_t>(files.size(), 32));
  Classifier classifier(arguments.path,
                        {arguments.device, arguments.best, batch, threads_for(files.size()), arguments.tta});
  if (arguments.csv) fmt::print("file,rank,label,class,probability\n");
  std::size_t broken = 0;
  for (std::size_t first = 0; first < files.size(); first += static_cast<std::size_t>(batch)) {
    const auto last = std::min(files.size(), first + static_cast<std::size_t>(batch));
    const std::vector<fs::path> some(files.begin() + static_cast<std::ptrdiff_t>(first),
                                     files.begin() + static_cast<std::ptrdiff_t>(last));
    const std::vector<FileAnswer> answers = classifier.classify_files(some, arguments.top);
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (!answers[i].error.empty()) {
        ++broken;
        log_error("{}", answers[i].error);
      }
      const auto format = arguments.json ? as_json : arguments.csv ? as_csv : as_text;
      fmt::print("{}", format(some[i], answers[i]));
    }
    flush_output();
  }
  if (broken > 0 && files.size() > 1) log_error("{} of {} images could not be read", broken, files.size());
  if (asked.folders_failed > 0)
    log_error("{} folder{} could not be read or held no picture", asked.folders_failed,
              asked.folders_failed == 1 ? "" : "s");
  return static_cast<int>(broken + asked.folders_failed == 0 ? ExitCode::done : ExitCode::failure);
}

}  // namespace convoy
