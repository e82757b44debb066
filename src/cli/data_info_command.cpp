// `convoy data info`: what a configuration's data set holds.
#include "comm/agree_on_root.h"
#include "src/cli/commands.h"
#include "src/data/summary.h"
#include "src/io/png_writer.h"

namespace convoy {
namespace {

void print_summary(const DataConfig& config, const Dataset& data) {
  const DataSummary summary = summarize(data);
  const char* validation = name_of_validation(config);
  fmt::print("{} images {} in {} classes: {} to train on, {} for {}\n", data.labels.size(),
             to_string(data.image), data.classes, data.train.size(), data.validation.size(), validation);
  fmt::print("  {:>10} {:>10} {:>10}\n", "class", "train", validation);
  for (std::size_t label = 0; label < summary.train.size(); ++label)
    fmt::print("  {:>10} {:>10} {:>10}\n", label, summary.train[label], summary.validation[label]);
  fmt::print("of the training images, for data:\n  normalize: {{mean: [{:.4f}], std: [{:.4f}]}}\n",
             fmt::join(summary.mean, ", "), fmt::join(summary.std, ", "));
}

void look(const Config& config, const DataInfoArguments& arguments) {
  const Dataset data = load_dataset(config.data, config.seed);
  print_summary(config.data, data);
  if (arguments.sheet.empty()) return;
  const Picture sheet = contact_sheet(data, arguments.columns);
  write_png(arguments.sheet, {sheet.height, sheet.width, sheet.channels, sheet.pixels});
  fmt::print("{}: {}x{} pixels; its rows are classes 0 to {}, from the top\n", arguments.sheet, sheet.width,
             sheet.height, data.classes - 1);
}

}  // namespace

int run(const CommandContext& context, const DataInfoArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const Config config = load_agreed(arguments.config, ranks);
  agree_on_root(ranks, [&] { look(config, arguments); });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
