// `convoy lr-find`: the loss while the learning rate rises, and what that suggests for optimizer.lr.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/agree.h"
#include "src/checkpoint/weights_file.h"
#include "src/cli/commands.h"
#include "src/io/atomic_file.h"
#include "src/io/png_writer.h"
#include "src/session/setup.h"
#include "src/train/lr_finder.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

std::string to_json(const LrCurve& curve, const Config& config, int ranks, const std::string& engine) {
  const auto or_null = [](const std::optional<double>& rate) {
    return rate ? nlohmann::ordered_json(*rate) : nlohmann::ordered_json();
  };
  const nlohmann::ordered_json json = {{"config", config.name},
                                       {"ranks", ranks},
                                       {"engine", engine},
                                       {"global_batch", config.train.global_batch},
                                       {"steepest", or_null(curve.steepest)},
                                       {"tenth_of_minimum", or_null(curve.tenth_of_minimum)},
                                       {"diverged", curve.diverged},
                                       {"lr", curve.rates},
                                       {"loss", curve.losses},
                                       {"smoothed_loss", curve.smoothed}};
  return json.dump(1) + "\n";
}

void print_table(const LrCurve& curve) {
  fmt::print("  {:>9}  {:>9}  {:>9}\n", "lr", "loss", "smoothed");
  const std::size_t rows = 12, steps = curve.rates.size();
  for (std::size_t row = 0; row < std::min(rows, steps); ++row) {
    const std::size_t i = steps <= rows ? row : row * (steps - 1) / (rows - 1);
    fmt::print("  {:>9.2e}  {:>9.4f}  {:>9.4f}\n", curve.rates[i], curve.losses[i], curve.smoothed[i]);
  }
}

/// What to do with the curve, in a sentence.
std::string advice(const LrCurve& curve) {
  if (!curve.steepest)
    return "the loss does not fall at any of these learning rates: check the data with `convoy data info`, "
           "or "
           "give --from, --to or --steps other values";
  return fmt::format(
      "suggestions for optimizer.lr: {:.2e}, where the loss falls fastest; {:.2e}, a tenth of where it is "
      "lowest{}",
      *curve.steepest, *curve.tenth_of_minimum,
      curve.diverged ? "" : " (it does not rise again: a larger --to shows more)");
}

}  // namespace

int run(const CommandContext& context, const LrFindArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  if (arguments.lowest >= arguments.highest)
    throw AgreedError(
        format_printable("--from {} must be less than --to {}", arguments.lowest, arguments.highest),
        ExitCode::usage);
  const Config config = load_agreed(arguments.config, context);
  const fs::path folder =
      arguments.output.empty() ? fs::path("runs") / config.name : fs::path(arguments.output);
  const std::unique_ptr<Session> session = make_session(config, ranks);
  context.watchdog.set_device(session->engine().describe());
  session->initialize();
  if (!config.model.init.empty()) {
    const TensorFile weights = load_weights(config.model.init, ranks);
    agree(ranks, [&] { restore_weights(*session, weights, config.model.init, {}); });
  }
  const LrCurve curve = find_learning_rate(*session, {arguments.lowest, arguments.highest, arguments.steps});
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    fs::create_directories(folder);
    write_file_atomically(folder / "lr_find.json",
                          to_json(curve, config, ranks.size(), session->engine().describe()));
    const Picture chart = draw(lr_chart(curve));
    write_png(folder / "lr_find.png", {chart.height, chart.width, chart.channels, chart.pixels});
    print_table(curve);
    print_printable("{}\ncurve in {} and {}\n", advice(curve), (folder / "lr_find.png").string(),
                    (folder / "lr_find.json").string());
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
