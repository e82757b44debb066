// `convoy keys`: what a configuration can say.
#include "comm/agree.h"
#include "core/wrap.h"
#include "src/cli/commands.h"
#include "src/config/help.h"

namespace convoy {

int run(const CommandContext& context, const KeysArguments& arguments) {
  std::string text;
  agree(context.ranks, [&] {
    text = arguments.markdown ? schema_markdown() : keys_help(arguments.section, output_width());
  });
  if (context.ranks.is_root()) fmt::print("{}", text);
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
