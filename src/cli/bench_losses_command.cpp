// `convoy bench losses`: a loss curve, step by step, that others can be held against.
#include "comm/agree.h"
#include "src/bench/loss_curve.h"
#include "src/cli/commands.h"
#include "src/io/atomic_file.h"

namespace convoy {

int run(const CommandContext& context, const BenchLossesArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const Config config = load_agreed(arguments.config, context);
  const TensorFile file = record_losses(config, ranks, arguments.steps);
  agree(ranks, [&] {
    if (ranks.is_root()) write_file_atomically(arguments.output, to_safetensors(file));
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
