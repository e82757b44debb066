// Which kernels every convolution of every file in configs/, and of the grouped ones in bench/, gets, on
// three GPUs and in each precision, is written down in tests/golden/conv_choices.txt. No GPU is needed. A
// lost fast path changes the text, and so does a tile table whose order changed, or a sum that is split in
// another way, which gives other bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "src/config/config.h"
#include "src/engine/absent_gpu.h"
#include "src/engine/gpu_choices.h"
#include "src/model/graph.h"
#include "src/session/plan_set.h"
#include "tests/source_dir.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

struct Convolutions {
  std::vector<std::string> order;           ///< passes and shapes, in the order of the step
  std::map<std::string, std::string> gets;  ///< "hopper 256x64, tile 3"; of wgrad, "... in 97 parts"
};

/// Of the training step of a full batch.
Convolutions convolutions_of(const Config& config, const KnownGpu& gpu) {
  const int batch = config.train.global_batch;
  const AbsentGpu target(gpu);
  const PlanSet plans = make_plans(build_graph(config.model), config, {batch, 0, batch, batch}, target,
                                   RankEnvironment::alone());
  Convolutions found;
  for (const Step& step : plans.training.at(batch).steps) {
    const std::optional<ConvProblem> problem = convolution_of(step.call);
    if (!problem) continue;
    const std::string key = fmt::format("{} {}", name_of(problem->pass), problem->shape.describe());
    std::string got = to_string(target.kernels_of(step.call));
    if (const int parts = choose(*problem, gpu.device).sum.splits; parts > 1)
      got += fmt::format(" in {} parts", parts);
    const auto [it, fresh] = found.gets.try_emplace(key, got);
    if (fresh) found.order.push_back(key);
    EXPECT_EQ(it->second, got) << "two calls of one shape: " << key;
  }
  return found;
}

/// Of a file, by its path in the source tree.
std::string table_of(const std::string& path) {
  std::vector<std::string> order;
  std::map<std::string, std::string> rows;
  for (const std::string architecture : {"sm_75", "sm_80", "sm_90a"}) {
    const auto known = known_gpus();
    const auto gpu = std::find_if(known.begin(), known.end(),
                                  [&](const KnownGpu& g) { return g.architecture == architecture; });
    struct Entry {
      std::string precisions, kernels;
    };
    std::map<std::string, std::vector<Entry>> line;
    for (const std::string precision : {"fp32", "tf32", "fp16", "bf16"}) {
      Config config =
          load_config(fmt::format("{}/{}", CONVOY_SOURCE_DIR, path), {"train.precision=" + precision});
      config.data.resident = DataConfig::Resident::yes;  // no picture is looked at
      if (!AbsentGpu(*gpu).computes_in(config.train.precision)) continue;
      const Convolutions found = convolutions_of(config, *gpu);
      if (order.empty()) order = found.order;
      EXPECT_EQ(std::set(order.begin(), order.end()), std::set(found.order.begin(), found.order.end()));
      for (const auto& [key, got] : found.gets) {
        std::vector<Entry>& entries = line[key];
        if (!entries.empty() && entries.back().kernels == got)
          entries.back().precisions += ", " + precision;
        else
          entries.push_back({precision, got});
      }
    }
    for (const auto& [key, entries] : line) {
      rows[key] += fmt::format("    {:<6}", architecture);
      for (const Entry& entry : entries)
        rows[key] +=
            fmt::format("{} {}: {}", &entry == entries.data() ? "" : ";", entry.precisions, entry.kernels);
      rows[key] += '\n';
    }
  }
  std::string table = fs::path(path).filename().string() + '\n';
  for (const std::string& key : order) table += "  " + key + '\n' + rows[key];
  return table;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(ConvChoices, AreThoseOfTheGoldenTable) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(CONVOY_SOURCE_DIR "/configs"))
    if (entry.is_regular_file()) files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  std::string now;
  for (const std::string& file : files) now += table_of("configs/" + file);
  now += table_of("bench/grouped_convolutions.yaml");

  const fs::path golden = CONVOY_SOURCE_DIR "/tests/golden/conv_choices.txt";
  std::ostringstream text;
  text << std::ifstream(golden).rdbuf();
  if (text.str() == now) return;

  const std::string kept = ::testing::TempDir() + "conv_choices.txt";
  std::ofstream(kept) << now;
  const std::vector<std::string> expected = lines_of(text.str()), got = lines_of(now);
  std::size_t first = 0;
  while (first < std::min(expected.size(), got.size()) && expected[first] == got[first]) ++first;
  const auto at = [&](const std::vector<std::string>& lines) {
    return first < lines.size() ? lines[first] : std::string("(the end)");
  };
  ADD_FAILURE() << "convolutions get other kernels than " << golden.filename() << " says, first in line "
                << first + 1 << ":\n  golden " << at(expected) << "\n  now    " << at(got)
                << "\nWhere that is meant: cp " << kept << " tests/golden/";
}

}  // namespace
}  // namespace convoy::testing
