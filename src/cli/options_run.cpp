// The options of the commands that train a network, say what would be trained, or use a trained one.
#include "kernels/conv/cuda/device.h"
#include "src/cli/options.h"

namespace convoy {
namespace {

void add_output_folder(CLI::App* command, std::string& output) {
  command->add_option("--output", output, "the run's folder (default: runs/<name>)")->option_text("DIR");
}

void add_train(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("train", "train a network; under mpirun or srun, on all ranks");
  command->group("Train a network");
  auto& arguments = arguments_of<TrainArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_output_folder(command, arguments.output);
  command
      ->add_option("--resume", arguments.resume,
                   "go on from a checkpoint; auto: from the newest undamaged one in the run folder, or start "
                   "if there is none")
      ->option_text("auto|FILE");
  command->add_flag(
      "--resume-on-other-data", arguments.resume_on_other_data,
      "go on even if the data is not the data that the checkpoint's run was trained on: other images, "
      "another number of images, renamed classes. Without this option such a difference is an error");
  command
      ->add_option(
          "--init", arguments.init,
          "start from these weights: a safetensors file, the index of one in parts "
          "(X.safetensors.index.json), or a state_dict of torch.save() (X.pth), under PyTorch's names. "
          "With --resume auto, only if there is no checkpoint yet. The file must have every tensor in the "
          "network's shape; a last layer of another size begins anew. In place of model.init")
      ->option_text("FILE");
  CLI::Option* except =
      command->add_option("--init-except", arguments.init_except,
                          "with --init or model.init: layers that start with random weights, by their "
                          "names in the file, e.g. 12 for 12.weight and 12.bias");
  except->delimiter(',')->allow_extra_args(false)->option_text("LAYER,...");
  CLI::Option* profile =
      command->add_flag("--profile", arguments.profile,
                        "time every call of some steps, print the times, and write trace.json to the run "
                        "folder for chrome://tracing or ui.perfetto.dev; results keep every bit");
  command->add_option("--profile-steps", arguments.profile_steps, "steps to time, after two to warm up")
      ->option_text("N")
      ->needs(profile)
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

void add_check(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("check", "try everything that can fail, without training");
  command->group("Train a network");
  auto& arguments = arguments_of<CheckArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_output_folder(command, arguments.output);
  command->add_flag("--all-images", arguments.all_images,
                    "decode every picture; without this option, a sample of 200 if there are more than 512");
}

void add_lr_find(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "lr-find", "suggest a learning rate: train some steps while it rises, and look at the loss");
  command->group("Train a network");
  auto& arguments = arguments_of<LrFindArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command
      ->add_option("--output", arguments.output,
                   "folder for lr_find.json and lr_find.png (default: runs/<name>)")
      ->option_text("DIR");
  const auto add_rate = [&](const char* name, double& rate, const char* help) {
    command->add_option(name, rate, help)
        ->option_text("LR")
        ->check(CLI::Range(1e-30, 1e30))
        ->capture_default_str();
  };
  add_rate("--from", arguments.lowest, "learning rate of the first step");
  add_rate("--to", arguments.highest, "learning rate of the last step");
  command->add_option("--steps", arguments.steps, "steps from one to the other")
      ->option_text("N")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  command->footer(std::string("It begins with the weights of a new run, or with model.init, and keeps none. "
                              "It ends early when the "
                              "loss is four times its lowest. The schedule is not used. Of the two "
                              "suggestions, the first is where "
                              "the loss falls fastest, the second a tenth of where it is lowest.\n") +
                  exit_codes);
}

void add_plan(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("plan", "print calls and memory of a step, without training");
  command->group("Train a network");
  auto& arguments = arguments_of<PlanArguments>(command, action);
  add_config_arguments(command, arguments.config);
  std::vector<std::string> architectures;
  for (const KnownGpu& gpu : known_gpus()) architectures.emplace_back(gpu.architecture);
  add_choices(command->add_option("--gpu", arguments.gpu,
                                  "print the step as a GPU of this architecture would run it; needs neither "
                                  "a GPU nor a build with CUDA"),
              architectures);
}

void add_keys(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("keys", "list the keys of a configuration and what each accepts");
  command->group("Train a network");
  auto& arguments = arguments_of<KeysArguments>(command, action);
  command
      ->add_option("SECTION", arguments.section,
                   "a section (train, data, augment, model, layers, optimizer, schedule, checkpoint, "
                   "distributed), a layer (conv) or a key (train.epochs, lr); without it, all keys")
      ->option_text("SECTION");
  command->add_flag("--markdown", arguments.markdown, "print the page docs/configuration.md");
}

void add_tta(CLI::App* command, std::string& tta) {
  add_choices(command
                  ->add_option("--tta", tta,
                               "test-time augmentation: average the logits of several views of each picture. "
                               "flip: as it is and mirrored; five_crop: the corners and the middle of the "
                               "resized picture")
                  ->capture_default_str(),
              {"none", "flip", "five_crop"});
}

void add_eval(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("eval", "measure a run or checkpoint on its validation or test data");
  command->group("Use a trained network");
  auto& arguments = arguments_of<EvalArguments>(command, action);
  add_run(command, arguments.path);
  add_overrides(command, arguments.overrides, "replace values of its configuration, e.g. data.path=DIR");
  add_best(command, arguments.best);
  command
      ->add_option("--logits", arguments.logits,
                   "write the logits (images,classes) and labels of these images to this safetensors file")
      ->option_text("FILE");
  command
      ->add_option("--json", arguments.json,
                   "write all figures to this file: accuracies, calibration, classes, confusion matrix")
      ->option_text("FILE");
  command
      ->add_option("--csv", arguments.csv,
                   "write precision, recall, F1 and number of images of each class to this file")
      ->option_text("FILE");
  add_choices(command
                  ->add_option("--part", arguments.part,
                               "images to measure on: those of validation, or the test part")
                  ->capture_default_str(),
              {"validation", "test"});
  add_tta(command, arguments.tta);
}

void add_predict(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("predict", "classify images with a run's network");
  command->group("Use a trained network");
  auto& arguments = arguments_of<PredictArguments>(command, action);
  add_run(command, arguments.path);
  command
      ->add_option("IMAGE", arguments.images,
                   "picture files of any size, folders of such, or - for names on standard input")
      ->option_text("IMAGE|DIR|- ...")
      ->required();
  command->add_option("--top", arguments.top, "how many of the likeliest classes to print")
      ->option_text("N")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_tta(command, arguments.tta);
  CLI::Option* json = command->add_flag("--json", arguments.json, "print a line of JSON per image");
  command->add_flag("--csv", arguments.csv, "print a table: file,rank,label,class,probability")
      ->excludes(json);
  add_choices(command->add_option("--device", arguments.device, "auto: a GPU where there is one")
                  ->capture_default_str(),
              {"auto", "cpu", "cuda"});
  add_best(command, arguments.best);
  command->footer(
      std::string(
          "Images are resized and cropped as in evaluation, and converted to gray or colour as the network "
          "needs. An image that cannot be read is named, the others are still answered, and the exit code is "
          "1. On the CPU a single image takes only idle cores, unless OMP_NUM_THREADS says how many.\n") +
      exit_codes);
}

void add_export(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("export", "write a run's weights or its network as a file for other programs");
  command->group("Use a trained network");
  auto& arguments = arguments_of<ExportArguments>(command, action);
  add_run(command, arguments.path);
  add_choices(
      command->add_option("--format", arguments.format,
                          "safetensors: the weights, under PyTorch's names; onnx: the whole network, for "
                          "pictures of any size, which it resizes, crops and normalises itself (default: "
                          "onnx for an --output that ends in .onnx, else safetensors)"),
      {"safetensors", "onnx"});
  command->add_option("--output", arguments.output, "the file (default: model.<format> in the run's folder)")
      ->option_text("FILE");
  add_best(command, arguments.best);
  command->add_flag("--raw-input", arguments.raw_input,
                    "for onnx: take images of the network's size as floats (N,C,H,W) in [0,1], without "
                    "resizing in the graph");
  command->add_flag(
      "--verify", arguments.verify,
      "for onnx: classify the validation images with onnxruntime, too, and compare the answers");
  add_overrides(command, arguments.overrides, "with --verify: other data, e.g. data.path=DIR");
  command->footer(
      std::string(
          "--verify needs Python 3 with onnxruntime, numpy and Pillow: the python3 on the PATH, or the one "
          "that CONVOY_PYTHON names. Exit code 1 where fewer than 99.9 % of the answers agree, or nothing "
          "could be compared. An answer agrees when the likeliest class is the same, or its probability and "
          "that of this program's class are within 10 % of each other (a tie).\n") +
      exit_codes);
}

void add_runs(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("runs", "print a table of runs, the newest first, with their best figures");
  command->group("Use a trained network");
  auto& arguments = arguments_of<RunsArguments>(command, action);
  command->add_option("DIR", arguments.folder, "a folder of runs, or a run's (default: runs)");
  CLI::Option* csv = command->add_flag("--csv", arguments.csv, "as comma-separated values");
  command->add_flag("--json", arguments.json, "as JSON; accuracies are numbers from 0 to 1")->excludes(csv);
}

}  // namespace

void add_run_commands(CLI::App& app, Action& action) {
  add_train(app, action);
  add_check(app, action);
  add_lr_find(app, action);
  add_plan(app, action);
  add_keys(app, action);
  add_eval(app, action);
  add_predict(app, action);
  add_export(app, action);
  add_runs(app, action);
}

}  // namespace convoy
