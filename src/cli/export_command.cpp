#include "comm/agree.h"
#include "src/checkpoint/data_record.h"
#include "src/cli/commands.h"
#include "src/cli/onnx_verify.h"
#include "src/cli/output.h"
#include "src/data/class_names.h"
#include "src/data/crops.h"
#include "src/export/onnx.h"
#include "src/infer/trained_model.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

std::string format_of(const ExportArguments& arguments) {
  if (!arguments.format.empty()) return arguments.format;
  return std::filesystem::path(arguments.output).extension() == ".onnx" ? "onnx" : "safetensors";
}

std::filesystem::path output_of(const ExportArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const std::filesystem::path run = arguments.path;
  if (!std::filesystem::is_directory(run))
    fail_usage(
        "--output is missing; it is needed to export a single checkpoint (for a run folder, the default is "
        "in that folder)");
  return run / ("model." + format_of(arguments));
}

std::vector<double> per_channel(const std::vector<float>& values, int channels, double otherwise) {
  if (values.empty()) return std::vector<double>(static_cast<std::size_t>(channels), otherwise);
  if (values.size() == 1) return std::vector<double>(static_cast<std::size_t>(channels), values[0]);
  return {values.begin(), values.end()};
}

/// How the model is fed: with pictures, or with what the network takes.
std::optional<PictureView> pictures_for(const TrainedModel& model, bool raw_input) {
  if (raw_input || !takes_pictures(model.graph)) return std::nullopt;
  return picture_view(model.config.data);
}

std::string contents(const TrainedModel& model, const ExportArguments& arguments) {
  if (format_of(arguments) == "safetensors") return to_safetensors(model.weights);
  const int channels = model.graph.input().c;
  return to_onnx(model.graph, model.weights,
                 {model.config.name, per_channel(model.config.data.mean, channels, 0),
                  per_channel(model.config.data.std, channels, 1), model.class_names, CONVOY_VERSION,
                  pictures_for(model, arguments.raw_input)});
}

/// Compares the file with the program; says what has come of it. Throws Error where they disagree.
void verify(const TrainedModel& model, const ExportArguments& arguments, const std::filesystem::path& file) {
  const Config config = parse_config(to_yaml(model.config), model.checkpoint.string(), arguments.overrides);
  const Dataset data = load_dataset(config.data, config.seed);
  require_same_classes(as_recorded(model.class_names), data.class_names, model.checkpoint.string());
  print_printable("comparing with onnxruntime on {} {} images\n", data.validation.size(),
                  name_of_validation(data));
  flush_output();
  const bool raw_input = !pictures_for(model, arguments.raw_input);
  const Agreement agreement = verify_onnx(model, file, raw_input, data);
  const std::string ties = agreement.ties > 0 ? fmt::format(" ({} of them a tie)", agreement.ties) : "";
  print_printable(
      "{} of {} answers agree{}; largest difference of a logit {:.3g}, where they reach {:.3g} ({})\n",
      agreement.agreeing, agreement.images, ties, agreement.largest, agreement.reach, agreement.worst);
  for (const std::string& other : agreement.others) print_printable("  {}\n", other);
  if (!agreement.good())
    fail("{} gives other answers than this program: fewer than 99.9 % agree; do not use the file",
         file.string());
}

}  // namespace

int run(const CommandContext& context, const ExportArguments& arguments) {
  const bool onnx = format_of(arguments) == "onnx";
  if (!onnx && (arguments.verify || arguments.raw_input))
    throw AgreedError("--verify and --raw-input: only with --format onnx", ExitCode::usage);
  if (!arguments.overrides.empty() && !arguments.verify)
    throw AgreedError(
        format_printable("{}: key=value goes only with --verify; the file to write is --output FILE",
                         arguments.overrides.front()),
        ExitCode::usage);
  const RankEnvironment& ranks = context.ranks;
  const TrainedModel model = load_trained_model(arguments.path, arguments.best, ranks);
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    const std::filesystem::path output = output_of(arguments);
    write_file_atomically(output, contents(model, arguments));
    print_printable("{} tensors of {} written to {}\n", model.weights.tensors.size(),
                    model.checkpoint.string(), output.string());
    if (onnx) fmt::print("{}\n", description_of_input(model.graph, pictures_for(model, arguments.raw_input)));
    if (arguments.verify) verify(model, arguments, output);
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
