// `convoy data info`: what a data set holds, of a configuration or of files that have none yet.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "comm/agree_on_root.h"
#include "comm/cores.h"
#include "core/log.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/data/data_source.h"
#include "src/data/inspection.h"
#include "src/data/recognise.h"
#include "src/data/summary.h"
#include "src/io/png_writer.h"

namespace convoy {
namespace {

std::vector<std::string> names_of(const Dataset& data) {
  std::vector<std::string> names = data.class_names;
  for (std::size_t label = names.size(); label < static_cast<std::size_t>(data.classes); ++label)
    names.push_back(fmt::format("{}", label));
  for (std::string& name : names) name = printable(name);
  return names;
}

/// How many images each class has in each part.
void print_counts(const Dataset& data, const std::vector<std::string>& names) {
  struct Column {
    const char* name;
    std::vector<std::int64_t> counts;
  };
  std::vector<Column> columns{{"train", counts_of(data, data.train)},
                              {name_of_validation(data), counts_of(data, data.validation)}};
  if (!data.test.empty()) columns.push_back({"test", counts_of(data, data.test)});
  std::size_t width = 10;
  for (const std::string& name : names) width = std::max(width, name.size());
  print_printable("  {:>{}}", "class", width);
  for (const Column& column : columns) print_printable(" {:>10}", column.name);
  fmt::print("\n");
  for (std::size_t label = 0; label < names.size(); ++label) {
    print_printable("  {:>{}}", names[label], width);
    for (const Column& column : columns) print_printable(" {:>10}", column.counts[label]);
    fmt::print("\n");
  }
}

/// "40 to train on, 12 for test"
std::string text_of_parts(const Dataset& data) {
  std::string text = fmt::format("{} to train on, {} for {}", data.train.size(), data.validation.size(),
                                 name_of_validation(data));
  if (!data.test.empty()) text += fmt::format(", {} for test", data.test.size());
  return text;
}

/// As data.normalize takes it: a channel that is the same everywhere is not divided by zero.
std::string normalize_of(const std::vector<double>& mean, std::vector<double> std) {
  constexpr double least = 0.00005;
  for (double& value : std) value = value < least ? 1 : value;
  return fmt::format("normalize: {{mean: [{:.4f}], std: [{:.4f}]}}", fmt::join(mean, ", "),
                     fmt::join(std, ", "));
}

void draw_sheet(const Dataset& data, const std::vector<std::string>& names,
                const DataInfoArguments& arguments) {
  if (arguments.sheet.empty()) return;
  const Picture sheet = contact_sheet(data, arguments.columns, names);
  write_png(arguments.sheet, {sheet.height, sheet.width, sheet.channels, sheet.pixels});
  print_printable("{}: {}x{} pixels; a row is a class, in the order of the table\n", arguments.sheet,
                  sheet.width, sheet.height);
}

void look_at_configured(const Config& config, const DataInfoArguments& arguments) {
  const Dataset data = load_dataset(config.data, config.seed);
  if (!data.warning.empty()) log_warn("{}", data.warning);
  const DataSummary summary = summarize(data);
  const std::vector<std::string> names = names_of(data);
  print_printable("{} images {} in {} classes: {}\n", data.labels.size(), to_string(data.image), data.classes,
                  text_of_parts(data));
  print_counts(data, names);
  print_printable("of the training images, for data:\n  {}\n", normalize_of(summary.mean, summary.std));
  draw_sheet(data, names, arguments);
}

/// "height 20 to 26, median 23"
std::string range_of(const char* what, std::vector<int> values) {
  std::sort(values.begin(), values.end());
  return fmt::format("{} {} to {}, median {}", what, values.front(), values.back(),
                     values[values.size() / 2]);
}

/// The first of many.
void print_problems(const std::vector<std::string>& problems, std::int64_t of) {
  const std::size_t shown = std::min(Verification::most_problems, problems.size());
  for (const std::string& problem : std::span(problems).first(shown)) print_printable("    {}\n", problem);
  if (of > static_cast<std::int64_t>(shown))
    print_printable("    and {} more\n", of - static_cast<std::int64_t>(shown));
}

void print_pictures(const PictureReport& report, std::size_t of) {
  std::vector<std::string> formats;
  for (int i = 0; i < image_format_count; ++i) {
    const std::int64_t count = report.formats[static_cast<std::size_t>(i)];
    if (count > 0) formats.push_back(fmt::format("{} {}", count, name_of(static_cast<ImageFormat>(i))));
  }
  print_printable("looked at {} of {} pictures: {}\n", report.looked_at(), of,
                  formats.empty() ? "none can be read" : fmt::format("{}", fmt::join(formats, ", ")));
  if (!report.sizes.empty()) {
    std::vector<int> heights, widths;
    for (const ImageSize& size : report.sizes) {
      heights.push_back(size.height);
      widths.push_back(size.width);
    }
    print_printable("  {}; {} pixels\n", range_of("width", widths), range_of("height", heights));
  }
  if (report.problems.empty()) return;
  print_printable("  {} broken:\n", report.problems.size());
  print_problems(report.problems, std::ssize(report.problems));
}

/// A text as YAML takes it.
std::string in_quotes(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "\"";
}

/// Files that no configuration describes; pictures in the size that the sheet shows.
DataConfig described(const std::string& path) {
  DataConfig config = recognise_data(path);
  config.input = {3, 96, 96};
  return config;
}

void look_at_files(const DataInfoArguments& arguments) {
  const DataConfig config = described(arguments.config.path);
  const Dataset data = load_dataset(config, 1);
  if (!data.warning.empty()) log_warn("{}", data.warning);
  const std::vector<std::string> names = names_of(data);
  const bool pictures = has_pictures(config.source);
  print_printable("source: {}, {} images{} in {} classes: {}\n", facts_of(config.source).name,
                  data.labels.size(), is_streamed(config.source) ? "" : " " + to_string(data.image),
                  data.classes, text_of_parts(data));
  print_counts(data, names);
  constexpr double seconds = 20;  // with a sample
  ChannelStatistics channels;
  if (pictures) {
    const std::vector<std::int32_t> samples = samples_to_inspect(data);
    const bool all = samples.size() == data.labels.size();
    const PictureReport report =
        inspect_pictures(data, samples, static_cast<int>(bound_cores().size()), all ? 0 : seconds);
    print_pictures(report, data.labels.size());
    channels = {{report.mean.begin(), report.mean.end()}, {report.std.begin(), report.std.end()}};
  } else {
    channels = channel_statistics(data, data.source ? samples_to_inspect(data) : data.train);
  }
  print_printable(
      "for a configuration (the last linear layer gives {} scores):\ndata:\n  source: {}\n  path: {}\n",
      data.classes, facts_of(config.source).name, in_quotes(config.path));
  if (config.validation_fraction > 0) print_printable("  validation: {}\n", config.validation_fraction);
  print_printable("  {}\n", normalize_of(channels.mean, channels.std));
  draw_sheet(data, names, arguments);
}

/// Reads every image of a data set. Throws Error where some are damaged.
void verify(const DataConfig& config) {
  const int threads = static_cast<int>(bound_cores().size());
  const Verification found = data_source(config.source).verify(config, threads);
  print_problems(found.problems, found.damaged);
  if (found.damaged > 0) fail("{}: {} of {} images are damaged", config.path, found.damaged, found.images);
  print_printable("{}: all {} images were read, none is damaged{}\n", config.path, found.images, found.note);
}

}  // namespace

int run(const CommandContext& context, const DataInfoArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  bool files = false;
  ranks.activity().begin("looking at data");
  agree_on_root(ranks, [&] {
    files = is_data(arguments.config.path);
    if (files && !arguments.config.overrides.empty())
      fail_usage("{}: a data set has no keys to replace; these go with a configuration: {}",
                 arguments.config.path, fmt::join(arguments.config.overrides, " "));
    if (files && arguments.verify)
      verify(described(arguments.config.path));
    else if (files)
      look_at_files(arguments);
  });
  if (ranks.max(files ? 1 : 0) != 0) return static_cast<int>(ExitCode::done);
  const Config config = load_agreed(arguments.config, context);
  watch(context, {.timeout = config.distributed.timeout,
                  .step_timeout = 0});  // a folder may have millions of pictures
  agree_on_root(ranks, [&] {
    if (arguments.verify)
      verify(config.data);
    else
      look_at_configured(config, arguments);
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
