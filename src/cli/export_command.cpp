#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/io/atomic_file.h"
#include "src/train/checkpoint_files.h"

namespace convoy {
namespace {

std::filesystem::path output_of(const ExportArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const std::filesystem::path run = arguments.path;
  if (!std::filesystem::is_directory(run)) fail_usage("--output: where to, of a single checkpoint?");
  return run / "model.safetensors";
}

}  // namespace

int run(const CommandContext& context, const ExportArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const auto checkpoint = load_checkpoint(chosen_checkpoint(arguments.path, arguments.best), ranks);
  if (!checkpoint) throw AgreedError(fmt::format("{}: no checkpoint there", arguments.path));
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    const std::filesystem::path output = output_of(arguments);
    const TensorFile weights = exported_weights(checkpoint->file);
    write_file_atomically(output, to_safetensors(weights));
    fmt::print("{} tensors of {} written to {}\n", weights.tensors.size(), checkpoint->path.string(),
               output.string());
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
