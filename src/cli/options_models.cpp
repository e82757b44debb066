// The options of `convoy models`.
#include "src/cli/options.h"

namespace convoy {

void add_models(CLI::App& app, Action& action) {
  CLI::App* models = app.add_subcommand("models", "list the networks that `model: NAME` knows");
  models->group("Train a network");
  models->require_subcommand(0, 1);
  auto listed = std::make_shared<ModelsArguments>();
  models->add_flag("--markdown", listed->markdown, "print the page docs/models.md");
  models->callback([models, listed, &action] {  // runs after that of a subcommand
    if (models->get_subcommands().empty())
      action = [listed](const CommandContext& context) { return run(context, *listed); };
  });

  CLI::App* show =
      models->add_subcommand("show", "print a network's file, to read or to change a copy of it");
  auto& shown = arguments_of<ModelsShowArguments>(show, action);
  show->add_option("NAME", shown.name, "a network that `convoy models` lists")->required();

  CLI::App* fetch =
      models->add_subcommand("fetch", "download a network's pretrained weights and check their SHA-256");
  auto& fetched = arguments_of<ModelsFetchArguments>(fetch, action);
  fetch->add_option("NAME", fetched.name, "a network that `convoy models` lists")->required();
  fetch->add_option("--output", fetched.output, "the file to write (default: its name at the address)")
      ->option_text("FILE");
  fetch
      ->add_option("--mirror", fetched.mirror,
                   "download from URL/<file name> instead of the address in the network's file")
      ->option_text("URL");
  fetch
      ->add_option("--timeout", fetched.timeout,
                   "give up when the server sends nothing for this many seconds")
      ->option_text("S")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
}

}  // namespace convoy
