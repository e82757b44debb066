// `convoy keys`: what a configuration can say.
#include "src/cli/commands.h"

namespace convoy {

int run(const CommandContext& context, const KeysArguments& arguments) {
  if (context.ranks.is_root()) {
    fmt::print("{}", arguments.markdown ? schema_markdown() : schema_help());
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
