// The options of `convoy bench`.
#include <map>

#include "src/cli/options.h"

namespace convoy {
namespace {

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
                           "time every distinct convolution of a training step by itself, compared with the "
                           "device's limit and, if bench/convoy_cudnn is built, with cuDNN");
  auto& arguments = arguments_of<BenchOpsArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_flag("--all", arguments.all, "every distinct call of the step, fused ones included");
  command
      ->add_option(
          "--rival", arguments.rival,
          "program that times the same convolutions, or none (default: bench/convoy_cudnn beside this "
          "program)")
      ->option_text("PROGRAM");
  add_json_option(command, arguments.json);
}

void add_bench_allreduce(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "allreduce",
      "sums over ranks of 256 bytes and more, as a training step does them; under mpirun or srun");
  auto& arguments = arguments_of<BenchAllReduceArguments>(command, action);
  const std::map<std::string, Device> devices = {
      {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda}};
  command->add_option("--device", arguments.device, "device whose memory is summed (default: auto)")
      ->option_text("auto|cpu|cuda")
      ->transform(CLI::CheckedTransformer(devices, CLI::ignore_case));
  command
      ->add_option("--largest", arguments.largest,
                   "the largest sum, also written as 64K or 16M (default: 256M)")
      ->option_text("BYTES")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{256}, std::int64_t{1} << 40));
  add_json_option(command, arguments.json);
}

void add_bench_scaling(CLI::App& bench, Action& action) {
  CLI::App* command =
      bench.add_subcommand("scaling",
                           "measure training steps on 1, 2, 4, ... of the ranks that mpirun or srun started: "
                           "images/s with the file's batch per rank and over all ranks, efficiency, and the "
                           "share of communication that no computation hides");
  auto& arguments = arguments_of<BenchScalingArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_seconds_option(command, arguments.seconds, "about how long to measure each rank count");
  add_json_option(command, arguments.json);
}

void add_bench_losses(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "losses",
      "the loss of each of the first training steps, with the data, their order and the initial weights, so "
      "that another trainer can repeat them (bench/compare_ddp.py --curve)");
  auto& arguments = arguments_of<BenchLossesArguments>(command, action);
  add_config_arguments(command, arguments.config);
  command->add_option("--steps", arguments.steps, "how many steps")
      ->option_text("N")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--output", arguments.output, "write everything to this safetensors file (required)")
      ->option_text("FILE")
      ->required();
}

void add_bench_data(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "data", "measure reading, decoding and augmenting the training images in images/s, without a network");
  auto& arguments = arguments_of<BenchDataArguments>(command, action);
  add_config_arguments(command, arguments.config);
  add_seconds_option(command, arguments.seconds, "about how long to measure");
  command->add_option("--threads", arguments.threads, "per rank (default: one per core)")
      ->option_text("N")
      ->check(CLI::Range(1, 4096));
  add_json_option(command, arguments.json);
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* bench =
      app.add_subcommand("bench", "measure speed: steps, single calls, sums over ranks, reading of data");
  bench->group("Data and speed");
  bench->require_subcommand(1);
  add_bench_step(*bench, action);
  add_bench_ops(*bench, action);
  add_bench_allreduce(*bench, action);
  add_bench_scaling(*bench, action);
  add_bench_losses(*bench, action);
  add_bench_data(*bench, action);
}

}  // namespace convoy
