#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "include/convoy/convoy.h"
#include "src/cli/commands.h"
#include "src/cli/csv.h"
#include "src/cli/output.h"
#include "src/core/log.h"
#include "src/core/thread_pool.h"
#include "src/io/image_format.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// The images in a folder and in those within it, sorted, hidden ones left out; of other files it warns.
std::vector<fs::path> images_below(const fs::path& folder) {
  std::vector<fs::path> found, others;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator();
       ++entry) {
    if (entry->path().filename().string().starts_with(".")) {
      if (entry->is_directory()) entry.disable_recursion_pending();
    } else if (entry->is_regular_file()) {
      (has_picture_ending(entry->path()) ? found : others).push_back(entry->path());
    }
  }
  if (found.empty()) fail("{}: no {} file there", folder.string(), picture_endings);
  if (!others.empty()) {
    log_warn("{}{}: left out, no {} file", std::min_element(others.begin(), others.end())->string(),
             others.size() > 1 ? fmt::format(" and {} more", others.size() - 1) : "", picture_endings);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> files_of(const PredictArguments& arguments) {
  if (has_picture_ending(arguments.path) && fs::is_regular_file(arguments.path))
    fail("{}: not a safetensors file but a picture; the run comes first: convoy predict RUN IMAGE",
         arguments.path);
  std::vector<fs::path> files;
  const auto add = [&](const std::string& name) {
    if (!fs::is_directory(name)) return files.push_back(name);
    const std::vector<fs::path> found = images_below(name);
    files.insert(files.end(), found.begin(), found.end());
  };
  for (const std::string& name : arguments.images) {
    if (name != "-") {
      add(name);
      continue;
    }
    for (std::string line; std::getline(std::cin, line);) {
      if (line.ends_with('\r')) line.pop_back();  // a list made on Windows
      if (!line.empty()) add(line);
    }
  }
  if (files.empty()) fail("no images named on standard input");
  return files;
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
  const std::vector<fs::path> files = files_of(arguments);
  const int batch = static_cast<int>(std::min<std::size_t>(files.size(), 32));
  Classifier classifier(arguments.path, {arguments.device, arguments.best, batch, threads_for(files.size())});
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
  return static_cast<int>(broken == 0 ? ExitCode::done : ExitCode::failure);
}

}  // namespace convoy
