#include "comm/agree.h"
#include "core/log.h"
#include "src/checkpoint/checkpoint_files.h"
#include "src/checkpoint/data_record.h"
#include "src/cli/commands.h"
#include "src/config/overrides.h"
#include "src/io/atomic_file.h"
#include "src/report/evaluation_files.h"
#include "src/session/setup.h"

namespace convoy {
int run(const CommandContext& context, const EvalArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  ranks.activity().begin("reading the checkpoint");
  const std::optional<LoadedCheckpoint> checkpoint =
      load_checkpoint(chosen_checkpoint(arguments.path, arguments.best), ranks);
  if (!checkpoint) throw AgreedError(no_checkpoint_at(arguments.path));
  const std::string name = checkpoint->path.string();
  Config config;
  std::vector<std::string> notes;
  agree(ranks,
        [&] { config = parse_config(config_in(checkpoint->file, name), name, arguments.overrides, notes); });
  if (ranks.is_root())
    for (const std::string& note : notes) log_info("{}", note);
  watch(context, config.distributed);
  std::vector<View> views;
  agree(ranks, [&] { views = views_of(arguments.tta, config.data); });
  const bool one_view = views.size() == 1;
  if (!one_view) config.data.resident = DataConfig::Resident::no;  // each view is made on the host
  const std::unique_ptr<Session> session = make_session(config, ranks);
  agree(ranks, [&] {
    require_same_classes(class_names_in(checkpoint->file, name), session->class_names(), name);
    restore_checkpoint(*session, checkpoint->file, name, false);
  });
  // Where validation has the test images, they are asked for by either name.
  const bool test = arguments.part == "test" && !session->validation_is_test();
  if (test && !session->has_test_part())
    throw AgreedError(
        format_printable("{}: its data has no test part beside training and validation", arguments.path),
        ExitCode::usage);
  Predictions predictions;
  const Part part = test ? Part::test : Part::validation;
  const bool figures =
      !one_view || !arguments.json.empty() || !arguments.csv.empty() || affords_evaluation(*session, part);
  const bool logits = !arguments.logits.empty();
  Metrics metrics;
  if (one_view) {
    metrics = session->evaluate(figures || logits ? &predictions : nullptr, part);
  } else {
    predictions = evaluate_views(*session, views, part);
    metrics = metrics_of(predictions);
  }
  const char* const part_name = test ? "test" : session->validation_name();
  std::optional<Evaluation> evaluation;  // rank 0's
  const std::vector<std::string> classes = session->class_names();
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    if (logits) write_file_atomically(arguments.logits, to_safetensors(predictions_file(predictions, name)));
    if (!figures) return;
    evaluation = evaluation_of(predictions);
    if (!arguments.json.empty())
      write_file_atomically(arguments.json,
                            evaluation_json(*evaluation, {part_name, name, metrics.loss()}, classes));
    if (!arguments.csv.empty()) write_file_atomically(arguments.csv, evaluation_csv(*evaluation, classes));
  });
  if (ranks.is_root()) {
    print_printable("{} accuracy {:.2f} % ({:.0f} of {:.0f} correct), loss {:.5f}{}  [{}]\n", part_name,
                    100 * metrics.accuracy(), metrics.correct, metrics.count, metrics.loss(),
                    one_view ? "" : fmt::format(", mean of {} views", views.size()), name);
    if (evaluation) fmt::print("{}", evaluation_table(*evaluation, classes));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
