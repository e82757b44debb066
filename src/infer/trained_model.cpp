#include "src/infer/trained_model.h"

#include "comm/agree.h"
#include "src/checkpoint/checkpoint_files.h"
#include "src/checkpoint/data_record.h"
#include "src/data/data_source.h"

namespace convoy {

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
    model.class_names = class_names_in(checkpoint->file, name);
    if (model.class_names.empty()) model.class_names = data_source(model.config.data.source).class_names();
    model.weights = exported_weights(std::move(checkpoint->file), name);
    model.class_names.resize(model.class_names.empty() ? 0 : static_cast<std::size_t>(model.graph.classes()));
  });
  return model;
}

}  // namespace convoy
