#include "src/train/trained_model.h"

#include <nlohmann/json.hpp>

#include "comm/agree.h"
#include "src/data/class_names.h"
#include "src/train/checkpoint_files.h"

namespace convoy {
namespace {

std::vector<std::string> class_names_of(const TensorFile& file, const Config& config,
                                        const std::string& name) {
  const auto stored = file.metadata.find("class_names");
  if (stored == file.metadata.end()) return known_class_names(config.data.source);
  try {
    return nlohmann::json::parse(stored->second).get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    fail("{}: its class_names are no list of names", name);
  }
}

}  // namespace

TrainedModel load_trained_model(const std::filesystem::path& path, bool best, const RankEnvironment& ranks) {
  auto checkpoint = load_checkpoint(chosen_checkpoint(path, best), ranks, /*with_optimizer=*/false);
  if (!checkpoint) throw AgreedError(no_checkpoint_at(path));
  TrainedModel model;
  model.checkpoint = checkpoint->path;
  agree(ranks, [&] {
    const std::string name = checkpoint->path.string();
    model.config = parse_config(config_in(checkpoint->file, name), name, {});
    model.graph = build_graph(model.config.model);
    require_known_order(checkpoint->file, model.graph, name);
    model.class_names = class_names_of(checkpoint->file, model.config, name);
    model.weights = exported_weights(std::move(checkpoint->file), name);
    model.class_names.resize(model.class_names.empty() ? 0 : static_cast<std::size_t>(model.graph.classes()));
  });
  return model;
}

}  // namespace convoy
