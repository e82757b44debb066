#include "src/study/study.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/config/schema.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// A choice along one axis: the overrides that make it.
struct Choice {
  std::string name;
  std::vector<std::string> overrides;
  fs::path config;  ///< of networks
  Mark mark;
};
using Axis = std::vector<Choice>;

/// The file before axes are multiplied.
struct StudyFile {
  std::string title;
  Axis networks, data;
  std::vector<Axis> vary;
  std::vector<std::string> set;
  std::vector<StudyEngine> engines;
  std::vector<int> seeds{1};
  bool compare = true, train = true;
  double seconds = 1;
  int rounds = 3;
};

// ---- reading ----

template <class Read>
Field<StudyFile> key(std::string name, std::string type, std::string help, const Read& read) {
  Field<StudyFile> field;
  field.key = std::move(name);
  field.type = std::move(type);
  field.help = std::move(help);
  field.read = read;
  field.write = [](const StudyFile&) { return std::optional<Value>(); };
  return field;
}

std::string text_at(const Place& place) {
  if (place.value.kind != Value::Kind::scalar) place.refuse("expected a text, got {}", describe(place.value));
  return place.value.text;
}

std::vector<std::string> words_at(const Place& place) {
  if (place.value.kind == Value::Kind::scalar) return {place.value.text};
  if (place.value.kind != Value::Kind::list) place.refuse("expected a list, got {}", describe(place.value));
  std::vector<std::string> words;
  for (std::size_t i = 0; i < place.value.items.size(); ++i) words.push_back(text_at(place.item(i)));
  return words;
}

const Value& map_at(const Place& place, const char* example) {
  if (place.value.kind != Value::Kind::map || place.value.items.empty())
    place.refuse("expected a map such as {}, got {}", example, describe(place.value));
  return place.value;
}

/// `name: FILE` or `name: {config: FILE, set: [key=value, ...]}`.
Axis networks_at(const Place& place) {
  const Value& map = map_at(place, "{lenet: ../mnist_lenet.yaml}");
  Axis axis;
  for (std::size_t i = 0; i < map.items.size(); ++i) {
    Choice& choice = axis.emplace_back();
    choice.name = map.keys[i];
    const Place at{map.items[i], place.path + "." + choice.name};
    choice.mark = at.value.mark;
    if (at.value.kind == Value::Kind::map) {
      Problems problems;
      check_keys(at, {"config", "set"}, problems);
      problems.raise();
      if (at.value.find("config") == nullptr)
        at.at("config").refuse("missing; expected the path of a configuration");
      choice.config = text_at(at.at("config"));
      if (at.value.find("set") != nullptr) choice.overrides = words_at(at.at("set"));
    } else {
      choice.config = text_at(at);
    }
  }
  return axis;
}

/// `name: [key=value, ...]`.
Axis data_at(const Place& place) {
  const Value& map = map_at(place, "{digits: [data.source=digits]}");
  Axis axis;
  for (std::size_t i = 0; i < map.items.size(); ++i) {
    const Place at{map.items[i], place.path + "." + map.keys[i]};
    axis.push_back({map.keys[i], words_at(at), {}, at.value.mark});
  }
  return axis;
}

/// The last parts of a key that is known by them: "kernel" of model.layers.0.conv.kernel.
std::string short_name(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

/// `key: [value, ...]`, an axis for each key.
std::vector<Axis> vary_at(const Place& place) {
  const Value& map = map_at(place, "{model.layers.0.conv.kernel: [3, 5]}");
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < map.items.size(); ++i) {
    const Place at{map.items[i], place.path + "." + map.keys[i]};
    if (at.value.kind != Value::Kind::list || at.value.items.size() < 2)
      at.refuse("expected a list of two values or more, got {}", describe(at.value));
    Axis& axis = axes.emplace_back();
    for (const Value& value : at.value.items) {
      const std::string text = write_flow(value);
      axis.push_back({short_name(map.keys[i]) + " " + text, {map.keys[i] + "=" + text}, {}, value.mark});
    }
  }
  return axes;
}

Codec<std::string> choice_of_modes() {
  return choice<std::string>({{"eager", "eager"},
                              {"channels_last", "channels_last"},
                              {"compile", "compile"},
                              {"reduce-overhead", "reduce-overhead"},
                              {"max-autotune", "max-autotune"},
                              {"graph", "graph"},
                              {"graph-compile", "graph-compile"},
                              {"graph-max-autotune", "graph-max-autotune"}});
}

/// What an entry of `engines` has lists of.
struct EngineLists {
  std::vector<int> threads{0}, ranks{1};
  std::vector<Precision> precision{Precision::fp32};
  int batch = 0;
  std::string mode = "channels_last";
};

/// `reference`, `cpu: {threads: [1, 2]}`, `cuda: {precision: [fp32, fp16], ranks: [1, 2]}`.
std::vector<StudyEngine> engines_at(const Place& place) {
  using L = EngineLists;
  const Codec<int> positive = number<int>(between(1, 4096));
  const Codec<std::vector<int>> counts = one_or_list(positive, 1, 64);
  const Codec<Precision> precision = choice<Precision>({{"fp32", Precision::fp32},
                                                        {"tf32", Precision::tf32},
                                                        {"fp16", Precision::fp16},
                                                        {"bf16", Precision::bf16}});
  const Field<L> threads = field("threads", &L::threads, counts, "threads of a rank");
  const Field<L> ranks = field("ranks", &L::ranks, counts, "processes; on CUDA one per GPU");
  const Field<L> batch = field("batch", &L::batch, positive, "images of a measured step");
  const Field<L> precisions =
      field("precision", &L::precision, one_or_list(precision, 1, 8), "see train.precision");
  const Field<L> mode = field("mode", &L::mode, choice_of_modes(), "of bench/torch_worker.py");
  struct Entry {
    Device device;
    bool pytorch;
    Table<L> table;
  };
  const std::map<std::string, Entry> entries = {
      {"reference", {Device::reference, false, {{batch}, {}, ""}}},
      {"cpu", {Device::cpu, false, {{threads, ranks, batch}, {}, ""}}},
      {"cuda", {Device::cuda, false, {{precisions, ranks, batch}, {}, ""}}},
      {"pytorch-cpu", {Device::cpu, true, {{threads, mode, batch}, {}, ""}}},
      {"pytorch-cuda", {Device::cuda, true, {{precisions, mode, batch}, {}, ""}}}};
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  if (place.value.kind != Value::Kind::list || place.value.items.empty())
    place.refuse("expected a list such as [reference, {{cpu: {{threads: [1, 2]}}}}, cuda], got {}",
                 describe(place.value));
  std::vector<StudyEngine> engines;
  for (std::size_t i = 0; i < place.value.items.size(); ++i) {
    const Place at = place.item(i);
    const bool word = at.value.kind == Value::Kind::scalar;
    if (!word && (at.value.kind != Value::Kind::map || at.value.items.size() != 1))
      at.refuse("expected one of {}, as a name or `name: {{...}}`; got {}", fmt::join(names, ", "),
                describe(at.value));
    const std::string& name = word ? at.value.text : at.value.keys[0];
    const auto found = entries.find(name);
    if (found == entries.end())
      at.refuse("unknown engine {}; expected one of {}", quote(name, 60), fmt::join(names, ", "));
    L lists;
    if (!word) read_table(found->second.table, lists, Place{at.value.items[0], at.path + "." + name});
    for (const Precision p : lists.precision) {
      for (const int ranks_of_it : lists.ranks) {
        for (const int threads_of_it : lists.threads) {
          const StudyEngine engine{found->second.device, threads_of_it,
                                   ranks_of_it,          p,
                                   lists.batch,          found->second.pytorch ? lists.mode : ""};
          const auto same = [&](const StudyEngine& other) { return other.name() == engine.name(); };
          if (std::any_of(engines.begin(), engines.end(), same))
            at.refuse("{} is there twice", engine.name());
          engines.push_back(engine);
        }
      }
    }
  }
  return engines;
}

Table<StudyFile> study_table() {
  using S = StudyFile;
  Table<S> table;
  table.fields = {
      key("title", "text", "stands above the page", [](S& s, const Place& at) { s.title = text_at(at); }),
      key("networks", "map of names and configurations", "what is compared",
          [](S& s, const Place& at) { s.networks = networks_at(at); })
          .require(),
      key("data", "map of names and overrides", "data sets, for each network",
          [](S& s, const Place& at) { s.data = data_at(at); }),
      key("vary", "map of keys and values", "values side by side, in all combinations",
          [](S& s, const Place& at) { s.vary = vary_at(at); }),
      key("set", "list of key=value", "overrides that hold for all",
          [](S& s, const Place& at) { s.set = words_at(at); }),
      key("engines", "list of engines", "what steps run on",
          [](S& s, const Place& at) { s.engines = engines_at(at); })
          .require(),
      field("seeds", &S::seeds, one_or_list(number<int>(at_least(0)), 1, 1000), "a training for each"),
      field("compare", &S::compare, boolean(), "first losses with those of plain loops in double precision"),
      field("train", &S::train, boolean(), "each network to the end of its epochs, on the fastest engine"),
      field("seconds", &S::seconds, number<double>(above(0)), "about how long a round measures an engine"),
      field("rounds", &S::rounds, number<int>(between(1, 1000)), "of measuring, in turn over everything")};
  return table;
}

// ---- axes ----

/// Every combination of one choice of each axis.
std::vector<std::vector<const Choice*>> combinations(const std::vector<const Axis*>& axes) {
  std::vector<std::vector<const Choice*>> all{{}};
  for (const Axis* axis : axes) {
    std::vector<std::vector<const Choice*>> longer;
    for (const auto& some : all) {
      for (const Choice& choice : *axis) {
        longer.push_back(some);
        longer.back().push_back(&choice);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// Names are made of the axes that have several choices, of the network if none has.
/// `text` gets the configuration of each.
std::vector<StudyVariant> variants_of(const StudyFile& file, const fs::path& folder, std::string& text) {
  std::vector<const Axis*> axes{&file.networks};
  if (!file.data.empty()) axes.push_back(&file.data);
  for (const Axis& axis : file.vary) axes.push_back(&axis);
  std::vector<StudyVariant> variants;
  std::map<std::string, std::string> seen;  // configuration -> the variant that has it
  for (const auto& choices : combinations(axes)) {
    StudyVariant variant;
    variant.config = folder / choices[0]->config;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const Choice& choice = *choices[i];
      variant.overrides.insert(variant.overrides.end(), choice.overrides.begin(), choice.overrides.end());
      if (axes[i]->size() > 1) names.push_back(choice.name);
    }
    variant.overrides.insert(variant.overrides.end(), file.set.begin(), file.set.end());
    variant.name = names.empty() ? choices[0]->name : fmt::format("{}", fmt::join(names, ", "));
    Config config = load_config(variant.config.string(), variant.overrides);
    config.name.clear();
    const std::string resolved = to_yaml(config);
    text += fmt::format("---\n# {}\n{}", variant.name, resolved);
    const auto [place, fresh] = seen.emplace(resolved, variant.name);
    if (!fresh) {
      fail_usage("{}: \"{}\" and \"{}\" are one configuration; an axis of a study must change something",
                 choices.back()->mark.text(), place->second, variant.name);
    }
    variants.push_back(std::move(variant));
  }
  return variants;
}

const char* plural(int n) {
  return n == 1 ? "" : "s";
}

}  // namespace

std::string StudyEngine::name() const {
  std::string text = pytorch.empty() ? "" : "PyTorch ";
  text += device == Device::reference ? "reference" : device == Device::cuda ? "cuda" : "cpu";
  if (device == Device::cuda) text += fmt::format(" {}", name_of(precision));
  if (!pytorch.empty()) text += " " + pytorch;
  if (threads > 0) text += fmt::format(", {} thread{}", threads, plural(threads));
  if (ranks > 1) text += fmt::format(", {} {}", ranks, device == Device::cuda ? "GPUs" : "ranks");
  return text;
}

std::string file_name_of(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || upper;
    if (plain)
      out += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

Study load_study(const fs::path& path, bool quick) {
  Study study;
  study.text = read_named_file(path, std::uint64_t{1} << 20);
  StudyFile file;
  const Value root = parse_yaml(study.text, path.string());
  read_table(study_table(), file, Place{root, ""});
  if (quick) {
    study.text += "# --quick\n";
    file.seconds /= 5, file.rounds = 1, file.seeds.resize(1);
    file.set.push_back("train.epochs=1");
  }
  study.title = file.title.empty() ? path.stem().string() : file.title;
  study.variants = variants_of(file, path.parent_path(), study.text);
  study.engines = file.engines, study.seeds = file.seeds;
  study.compare = file.compare, study.train = file.train;
  study.seconds = file.seconds, study.rounds = file.rounds;
  return study;
}

}  // namespace convoy
