#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/io/atomic_file.h"
#include "src/io/onnx.h"
#include "src/train/trained_model.h"

namespace convoy {
namespace {

std::filesystem::path output_of(const ExportArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const std::filesystem::path run = arguments.path;
  if (!std::filesystem::is_directory(run))
    fail_usage("--output: missing; the weights of a single checkpoint have no folder to go to");
  return run / ("model." + arguments.format);
}

std::vector<double> per_channel(const std::vector<float>& values, int channels, double otherwise) {
  if (values.empty()) return std::vector<double>(static_cast<std::size_t>(channels), otherwise);
  if (values.size() == 1) return std::vector<double>(static_cast<std::size_t>(channels), values[0]);
  return {values.begin(), values.end()};
}

std::string contents(const TrainedModel& model, const std::string& format) {
  if (format == "safetensors") return to_safetensors(model.weights);
  const int channels = model.graph.input().c;
  return to_onnx(model.graph, model.weights,
                 {model.config.name, per_channel(model.config.data.mean, channels, 0),
                  per_channel(model.config.data.std, channels, 1), model.class_names, CONVOY_VERSION});
}

}  // namespace

int run(const CommandContext& context, const ExportArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const TrainedModel model = load_trained_model(arguments.path, arguments.best, ranks);
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    const std::filesystem::path output = output_of(arguments);
    write_file_atomically(output, contents(model, arguments.format));
    fmt::print("{} tensors of {} written to {}\n", model.weights.tensors.size(), model.checkpoint.string(),
               output.string());
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
