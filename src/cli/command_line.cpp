// The command line: a function per subcommand. The one file that reads CLI11, which takes longer to compile
// than all the commands.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "src/cli/commands.h"
#include "src/cli/version.h"
#include "src/config/codec.h"

namespace convoy {
namespace {

using Action = std::function<int(const CommandContext&)>;

/// Where the options of `command` go; once it is chosen, running it is the action.
template <class Arguments>
Arguments& arguments_of(CLI::App* command, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  command->callback([&action, arguments] {
    action = [arguments](const CommandContext& context) { return run(context, *arguments); };
  });
  return *arguments;
}

constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 the run failed, 2 wrong usage or configuration, 75 stopped on request (SIGUSR1, "
    "SIGTERM or SIGINT) after writing a checkpoint, 128+n ended by signal n.";

// Positional arguments are named by plain words: CLI11 2.4 refuses names with "=" or "|" when the program
// starts.

void add_overrides(CLI::App* command, std::vector<std::string>& overrides, const char* help) {
  command->add_option("OVERRIDES", overrides, help)->option_text("key=value ...");
}

CLI::Option* add_run(CLI::App* command, std::string& path) {
  return command->add_option("RUN", path, "a run's folder or one of its checkpoints")->required();
}

void add_config_arguments(CLI::App* command, ConfigArguments& arguments) {
  command->add_option("CONFIG", arguments.path, "YAML file of the network and its training")->required();
  add_overrides(command, arguments.overrides, "replace values of the file, e.g. train.epochs=5");
  command->footer(schema_help() + "\n" + exit_codes);
}

void add_seconds_option(CLI::App* command, double& seconds, const char* help) {
  command->add_option("--seconds", seconds, help)->check(CLI::Range(0.01, 86400.0))->capture_default_str();
}

void add_json_option(CLI::App* command, std::string& path) {
  command->add_option("--json", path, "also write the figures to this file");
}

void add_train(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("train", "train a network; under mpirun or srun on all ranks");
  auto& arguments = arguments_of<TrainArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_option("--output", arguments.output, "the run's folder (default: runs/<name>)");
  command->add_option("--resume", arguments.resume,
                      "auto (the newest good checkpoint of the run) or a checkpoint");
  command->add_option(
      "--init", arguments.init,
      "a safetensors file of weights to begin with, under PyTorch's names; with --resume auto where there is "
      "no checkpoint yet. A tensor that is missing or of another shape is an error that names it, that of a "
      "last layer for other classes too: see --init-except");
  CLI::Option* except =
      command->add_option("--init-except", arguments.init_except,
                          "layers that begin with random weights all the same, by their names in the file, "
                          "e.g. 12 for 12.weight and 12.bias");
  except->delimiter(',')->allow_extra_args(false)->option_text("LAYER,...");
  CLI::Option* profile = command->add_flag("--profile", arguments.profile,
                                           "time every call of some steps, print where the time goes, and "
                                           "write trace.json to the run's folder for "
                                           "chrome://tracing or ui.perfetto.dev; changes no bit of the run");
  command->add_option("--profile-steps", arguments.profile_steps, "how many steps, after two to warm up")
      ->needs(profile)
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

void add_export(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("export", "write a run's weights, or its whole network, for use elsewhere");
  auto& arguments = arguments_of<ExportArguments>(command, action);
  add_run(command, arguments.path);
  command
      ->add_option(
          "--format", arguments.format,
          "safetensors: the weights, under PyTorch's names; onnx: the whole network, for pictures of any "
          "size, which it resizes, crops and normalises itself")
      ->check(CLI::IsMember({"safetensors", "onnx"}))
      ->capture_default_str();
  command->add_option("--output", arguments.output, "the file (default: model.<format> in the run's folder)");
  command->add_flag("--best", arguments.best,
                    "of a run, not the newest checkpoint but the one with the best validation");
  command->add_flag("--raw-input", arguments.raw_input,
                    "of onnx: for images of the network's size, floats (N,C,H,W) in [0,1]");
  CLI::Option* verify = command->add_flag(
      "--verify", arguments.verify,
      "of onnx: have onnxruntime answer the validation images and compare with this program's answers");
  add_overrides(command, arguments.overrides, "with --verify: other data, e.g. data.path=DIR");
  command->get_option("OVERRIDES")->needs(verify);
  command->footer(
      std::string(
          "--verify needs Python 3 with onnxruntime, numpy and Pillow: the python3 on the PATH, or the one "
          "that CONVOY_PYTHON names. Exit code 1 where fewer than 99.9 % of the answers agree, or "
          "nothing could be compared. An answer agrees when the likeliest class is the same, or its "
          "probability and that of this program's class are within 10 % of each other (a tie).\n\n") +
      exit_codes);
}

void add_predict(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("predict", "what a run's network sees in images");
  auto& arguments = arguments_of<PredictArguments>(command, action);
  add_run(command, arguments.path);
  command
      ->add_option("IMAGE", arguments.images,
                   "picture files of any size, folders of such, or - for names on standard input")
      ->option_text("IMAGE|DIR|- ...")
      ->required();
  command->add_option("--top", arguments.top, "so many of the likeliest classes")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  CLI::Option* json = command->add_flag("--json", arguments.json, "one JSON object a line for each image");
  command->add_flag("--csv", arguments.csv, "a table: file,rank,label,class,probability")->excludes(json);
  command->add_option("--device", arguments.device, "auto (a GPU where there is one), cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_flag("--best", arguments.best,
                    "of a run, not the newest checkpoint but the one with the best validation");
  command->footer(
      std::string(
          "Images are resized and cut as in evaluation, and made gray or coloured as the network takes "
          "them. One that cannot be read is named, the others are still answered, and the exit code is 1. On "
          "the CPU a single image takes only cores that are idle, unless OMP_NUM_THREADS says how "
          "many.\n\n") +
      exit_codes);
}

void add_eval(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("eval", "accuracy and loss of a run or checkpoint on its validation or test data");
  auto& arguments = arguments_of<EvalArguments>(command, action);
  add_run(command, arguments.path);
  add_overrides(command, arguments.overrides, "replace values of its configuration, e.g. data.path=DIR");
  command->add_flag("--best", arguments.best,
                    "of a run, not the newest checkpoint but the one with the best validation");
  command->add_option("--logits", arguments.logits,
                      "a safetensors file for the logits (images,classes) and labels of these images");
  command
      ->add_option("--part", arguments.part, "which images: those that were validated on, or the test part")
      ->option_text("validation|test")
      ->check(CLI::IsMember({"validation", "test"}))
      ->capture_default_str();
}

void add_runs(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("runs", "a table of runs, the newest first, with their best figures");
  auto& arguments = arguments_of<RunsArguments>(command, action);
  command->add_option("DIR", arguments.folder, "a folder of runs, or a run's")->capture_default_str();
  CLI::Option* csv = command->add_flag("--csv", arguments.csv, "as comma-separated values");
  command->add_flag("--json", arguments.json, "as JSON, accuracies as shares of one")->excludes(csv);
}

void add_plan(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("plan", "print every call of a step and every byte of memory; trains nothing");
  add_config_arguments(command, arguments_of<PlanArguments>(command, action).config);
}

void add_check(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("check", "run everything that can fail before the first step; trains nothing");
  auto& arguments = arguments_of<CheckArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_option("--output", arguments.output, "the run's folder (default: runs/<name>)");
  command->add_flag("--all-images", arguments.all_images,
                    "decode every picture of the data set, not a sample of 200");
}

void add_keys(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("keys", "print every key of a configuration and what it accepts");
  command->add_flag("--markdown", arguments_of<KeysArguments>(command, action).markdown,
                    "as the page docs/configuration.md");
}

void add_bench_step(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "step", "whole training steps on random images, under mpirun or srun on all ranks");
  auto& arguments = arguments_of<BenchStepArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_seconds_option(command, arguments.seconds, "about how long to measure");
  add_json_option(command, arguments.json);
}

void add_bench_ops(CLI::App& bench, Action& action) {
  CLI::App* command =
      bench.add_subcommand("ops",
                           "every distinct convolution of a training step by itself, beside what the device "
                           "could do at best and, where its program was built, beside cuDNN");
  auto& arguments = arguments_of<BenchOpsArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_flag("--all", arguments.all, "every distinct call of the step, fused ones included");
  command->add_option("--rival", arguments.rival,
                      "program that times the same convolutions, or none (default: bench/convoy_cudnn beside "
                      "this program)");
  add_json_option(command, arguments.json);
}

void add_bench_allreduce(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "allreduce",
      "sums over ranks of 256 bytes and more, as a training step queues them; under mpirun or srun");
  auto& arguments = arguments_of<BenchAllReduceArguments>(command, action);
  const std::map<std::string, Device> devices = {
      {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda}};
  command->add_option("--device", arguments.device, "where the sums are (default: auto)")
      ->option_text("auto|cpu|cuda")
      ->transform(CLI::CheckedTransformer(devices, CLI::ignore_case));
  command->add_option("--largest", arguments.largest, "the largest sum (default: 256M)")
      ->option_text("BYTES, also as 64K or 16M")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{256}, std::int64_t{1} << 40));
  add_json_option(command, arguments.json);
}

void add_bench_scaling(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "scaling",
      "training steps on 1, 2, 4, ... of the ranks that mpirun or srun started: images/s with the file's "
      "batch "
      "per rank and in all, efficiency, and the share of communication that nothing hides");
  auto& arguments = arguments_of<BenchScalingArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_seconds_option(command, arguments.seconds, "about how long to measure each");
  add_json_option(command, arguments.json);
}

void add_bench_losses(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "losses",
      "the loss of each of the first training steps, with the data, their order and the initial weights, so "
      "that another trainer can do the same steps (bench/compare_ddp.py --curve)");
  auto& arguments = arguments_of<BenchLossesArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_option("--steps", arguments.steps, "how many")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--output", arguments.output, "a safetensors file for all of it")->required();
}

void add_bench_data(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "data", "training images of CONFIG's data made ready for a network, which is not run: images/s");
  auto& arguments = arguments_of<BenchDataArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_seconds_option(command, arguments.seconds, "about how long to measure");
  command->add_option("--threads", arguments.threads, "per rank (default: one per core)")
      ->check(CLI::Range(1, 4096));
  add_json_option(command, arguments.json);
}

void add_bench(CLI::App& app, Action& action) {
  CLI::App* bench = app.add_subcommand("bench", "measure speed: steps, single calls, sums over ranks");
  bench->require_subcommand(1);
  add_bench_step(*bench, action);
  add_bench_ops(*bench, action);
  add_bench_allreduce(*bench, action);
  add_bench_scaling(*bench, action);
  add_bench_losses(*bench, action);
  add_bench_data(*bench, action);
}

void add_data_pack(CLI::App& data, Action& action) {
  CLI::App* command = data.add_subcommand("pack",
                                          "decode a folder of pictures (DIR/train/CLASS/*, DIR/val/CLASS/*, "
                                          "or DIR/CLASS/*) once and for all: one "
                                          "file of images that source: packed reads at full speed");
  auto& arguments = arguments_of<DataPackArguments>(command, action);
  command->add_option("DIR", arguments.folder, "the folder")->required();
  command->add_option("OUT", arguments.output, "the file; written whole or not at all")->required();
  command
      ->add_option("--size", arguments.size,
                   "height and width of the images: the shorter side is resized, the middle cut out")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  command->add_option("--max-bad", arguments.max_bad, "broken pictures that are named and left out")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
}

void add_data_fetch(CLI::App& data, Action& action) {
  CLI::App* command = data.add_subcommand(
      "fetch",
      "download a data set, check its SHA-256 sums and unpack it; files that are there already are kept");
  auto& arguments = arguments_of<DataFetchArguments>(command, action);
  command->add_option("NAME", arguments.name, "what data.source calls it")
      ->required()
      ->option_text("mnist|fashion-mnist|cifar10|cifar100");
  command->add_option("--output", arguments.output, "the folder for its files (default: data/NAME)");
  command->add_option(
      "--mirror", arguments.mirror,
      "download from this address, to which the files' names are added, not from the authors'");
  command->add_option(
      "--sums", arguments.sums,
      "a file by sha256sum, in place of the published sums: for a mirror that packed the files anew");
  command
      ->add_option("--timeout", arguments.timeout,
                   "seconds after which a server that sends nothing is given up")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
}

void add_data_info(CLI::App& data, Action& action) {
  CLI::App* command = data.add_subcommand("info",
                                          "what a data set holds: images, counts per class, mean and "
                                          "standard deviation for data.normalize; of files "
                                          "without a configuration also a data: section for one");
  auto& arguments = arguments_of<DataInfoArguments>(command, action);
  command
      ->add_option("DATA", arguments.config.path,
                   "a configuration (YAML), or files: a folder of pictures, of MNIST's or CIFAR's files, or "
                   "a packed file")
      ->required();
  add_overrides(command, arguments.config.overrides,
                "replace values of the configuration, e.g. data.path=DIR");
  command->add_option("--sheet", arguments.sheet,
                      "also draw the first training images to this PNG file, a row per class");
  command->add_option("--columns", arguments.columns, "images per row of the sheet")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

void add_data(CLI::App& app, Action& action) {
  CLI::App* data = app.add_subcommand("data", "download data sets, look at them, pack folders of pictures");
  data->require_subcommand(1);
  add_data_fetch(*data, action);
  add_data_info(*data, action);
  add_data_pack(*data, action);
}

/// "cpu|cuda" as the values that an option takes; what is in capitals stands for others.
std::vector<std::string> choices_in(const std::string& text) {
  const bool listed =
      text.find('|') != std::string::npos && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '|' || c == '-';
      });
  return listed ? CLI::detail::split(text, '|') : std::vector<std::string>{};
}

CommandNode node_of(const CLI::App& app) {
  CommandNode node{app.get_name(), app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> choices = choices_in(option->get_option_text());
    if (option->get_positional()) {
      node.positionals.push_back({option->get_name(true), choices});
      continue;
    }
    CommandNode::Option& out = node.options.emplace_back();
    for (const std::string& name : option->get_snames()) out.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) out.names.push_back("--" + name);
    out.help = option->get_description();
    out.takes_value = option->get_expected_max() > 0;
    out.choices = choices;
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    node.commands.push_back(node_of(*command));
  return node;
}

void add_completion(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "completion", "print what makes a shell complete this command line: source <(convoy completion bash)");
  auto& arguments = arguments_of<CompletionArguments>(command, action);
  arguments.describe = [&app] { return node_of(app); };
  command->add_option("SHELL", arguments.shell, "bash, zsh or fish")
      ->option_text("bash|zsh|fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
}

/// What to say of a word that stands where the name of a subcommand should; empty where that is missing or
/// right.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* parent = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto commands = parent->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty() || word.starts_with('-')) break;
    const auto named = std::find_if(commands.begin(), commands.end(),
                                    [&](const CLI::App* command) { return command->get_name() == word; });
    if (named == commands.end()) {
      std::vector<std::string> names;
      for (const CLI::App* command : commands) names.push_back(command->get_name());
      return fmt::format("unknown subcommand \"{}\"{}", word, did_you_mean(word, names));
    }
    parent = *named;
  }
  return "";
}

}  // namespace

int run_command_line(int argc, char** argv, const CommandContext& context) {
  CLI::App app{"Convoy: data-parallel training of convolutional networks on CPUs and GPUs"};
  app.set_version_flag("--version", [&] { return version_text(context.ranks); });
  app.require_subcommand(1);
  app.footer(exit_codes);
  Action action;
  add_train(app, action);
  add_eval(app, action);
  add_export(app, action);
  add_predict(app, action);
  add_runs(app, action);
  add_plan(app, action);
  add_check(app, action);
  add_keys(app, action);
  add_bench(app, action);
  add_data(app, action);
  add_completion(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for = error.get_exit_code() == 0;  // --help, --version
    if (context.ranks.is_root()) {
      const std::string unknown = asked_for ? "" : unknown_command(app, argc, argv);
      if (!unknown.empty()) fmt::print(stderr, "{}\n", unknown);
      app.exit(error);
    }
    return static_cast<int>(asked_for ? ExitCode::done : ExitCode::usage);
  }
  return action(context);
}

}  // namespace convoy
