#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/io/atomic_file.h"
#include "src/train/checkpoint_files.h"
#include "src/train/setup.h"

namespace convoy {
int run(const CommandContext& context, const EvalArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const std::optional<LoadedCheckpoint> checkpoint =
      load_checkpoint(chosen_checkpoint(arguments.path, arguments.best), ranks);
  if (!checkpoint) throw AgreedError(fmt::format("{}: no checkpoint there", arguments.path));
  const std::string name = checkpoint->path.string();
  Config config;
  agree(ranks, [&] { config = parse_config(config_in(checkpoint->file, name), name, arguments.overrides); });
  const std::unique_ptr<Session> session = make_session(config, ranks);
  agree(ranks, [&] { restore_checkpoint(*session, checkpoint->file, name, false); });
  Predictions predictions;
  const bool wanted = !arguments.logits.empty();
  const Metrics metrics = session->evaluate(wanted ? &predictions : nullptr);
  agree(ranks, [&] {
    if (wanted && ranks.is_root())
      write_file_atomically(arguments.logits, to_safetensors(predictions_file(predictions, name)));
  });
  if (ranks.is_root()) {
    fmt::print("{} accuracy {:.2f} % ({:.0f} of {:.0f} correct), loss {:.5f}  [{}]\n",
               name_of_validation(config.data), 100 * metrics.accuracy(), metrics.correct, metrics.count,
               metrics.loss(), name);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
